"""The command line: declares the verbs; torch and textual are imported by the command that needs them."""

import atexit
import errno
import inspect
import io
import json
import os
import re
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from distilkit import __version__, options
from distilkit.errors import GroupLost, RunFailed, Stopped, UserError, is_out_of_memory, nearest, out_of_memory
from distilkit.options.shared import Printed
from distilkit.tables import plain, printable

app = typer.Typer(
    name="distilkit",
    help="Distil neural rankers, and find out whether the difference is real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# The options of each verb, and the module of `distilkit.commands` whose function of the verb's name does it.
VERBS: dict[type[Any], str] = {
    options.Run: "run",
    options.Compare: "compare",
    options.Runs: "listings",
    options.Show: "listings",
    options.Clean: "clean",
    options.Score: "score",
    options.Rerank: "rerank",
    options.Evaluate: "evaluate",
    options.Retrieve: "retrieve",
    options.Bench: "bench",
    options.Serve: "serve",
    options.Export: "export",
    options.Push: "push",
    options.Strategies: "listings",
    options.Recipes: "listings",
    options.RecipeKeys: "listings",
    options.Doctor: "doctor",
    options.Tui: "listings",
}

# How often one of torch's threads (GNU's OpenMP) looks whether the others are done before it sleeps.
SPINS = 1000


def patient_threads(environment: MutableMapping[str, str]) -> None:
    """Let threads of torch sleep soon while they wait for each other, unless the user has said how they are to wait.

    By default they occupy their cores for milliseconds; where other processes want these too, a training step takes
    three times as long. To be called before torch is imported.
    """
    if not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")):
        environment["GOMP_SPINCOUNT"] = str(SPINS)


def main() -> None:
    """Run a verb; exit code 0 done, 1 the run failed, 2 the input is wrong, 130 stopped."""
    patient_threads(os.environ)
    if os.environ.get("WORLD_SIZE", "1") == "1":
        _main()
    else:
        _main_of_a_group()


def _main_of_a_group() -> None:
    """Run a verb in a process of several that work together, which ends before the interpreter is taken down.

    A thread of torch that still talks to the other processes then would ask for the interpreter, and abort.
    """
    code = 1
    try:
        _main()
        code = 0
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else int(done.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character shows its number
    try:
        try:
            app(prog_name="distilkit")
        except _Raised as raised:
            raise raised.error from None
        except SystemExit:
            sys.stdout.flush()
            raise
    except UserError as error:
        _leave(error, 2)
    except RunFailed as error:
        _leave(error, 1)
    except Stopped as error:
        _leave(error, 130)
    except KeyboardInterrupt:
        _leave("stopped at once; continue from the last checkpoint with --resume auto", 130)
    except (_ReaderLeft, BrokenPipeError):
        _leave_reader()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            _leave(error, 1)
        _leave(f"{error.filename}: no file system takes so long a name; expected 255 bytes at most", 2)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _leave(out_of_memory(error), 1)
    except SystemExit as done:
        if done.code == 1 and isinstance(done.__context__, BrokenPipeError):  # typer's own, of its help
            _leave_reader()
        raise


class _ReaderLeft(Exception):  # noqa: N818
    """Who reads what is printed (head, less) has seen enough of it: what was asked for is done."""


class _Raised(Exception):  # noqa: N818
    """Carries what a verb raised past typer, which has exit codes of its own for some exceptions, 0 among them."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def _broken(name: str, error: BaseException) -> BaseException:
    """Return what a verb is to end with that raised something: never what would be taken for its being done."""
    if isinstance(error, SystemExit):
        error.__context__ = None  # a code of its own says what it says, whatever it was raised after
        return error if error.code else RunFailed(f"{name} ended early without an error message")
    if isinstance(error, EOFError | BrokenPipeError) or type(error).__module__.startswith(("click", "typer")):
        return RunFailed(f"{name} broke off: {str(error) or type(error).__name__}")
    return error


def _leave(problem: object, code: int) -> None:
    # All processes of a group may end alike, unless they have lost one of them: then each says which.
    if os.environ.get("RANK", "0") == "0" or isinstance(problem, GroupLost):
        with suppress(OSError):
            print(f"distilkit: {plain(str(problem))}", file=sys.stderr)
    sys.exit(code)


def _leave_reader() -> None:
    """Leave with 0: what was asked for is done, and its reader (head, less) has seen enough of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _version(asked: bool) -> None:
    if asked:
        print(f"distilkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def command(verb: str, **options: Any) -> Any:
    """Do what a verb of the command line does, and return what it prints with --json as plain data.

    For what has no function of its own here: score, rerank, retrieve, evaluate, bench, export, clean, show and the
    lists of strategies, recipes and recipe keys.

    Args:
        verb: the verb, such as ``"rerank"``
        options: its arguments and options by their names, such as ``batch_size`` for ``--batch-size``; a file or folder
            is a path or a text, and one value stands for a list of one

    Returns:
        The plain data, or text where that is all there is.

    Raises UserError for a verb or an option that there is not and for wrong input, RunFailed, and Stopped.

    Examples:
        >>> first = command("recipe-keys", section="data.passages")[0]
        >>> first.get("key"), first.get("default")
        ('data.passages.unit', 'words')
    """
    requests = {_verb_name(request): (request, module) for request, module in VERBS.items()}
    if verb not in requests or verb == "tui":
        raise UserError(f"there is no command {verb!r}{nearest(verb, requests)}")
    request, module = requests[verb]
    given = {**_fields_of(request, verb, options), **({"json_": True} if issubclass(request, Printed) else {})}
    text: str | None = getattr(import_module(f"distilkit.commands.{module}"), verb.replace("-", "_"))(request(**given))
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return text


def _fields_of(request: type[Any], verb: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with their values, texts as paths and single values as lists where they are."""
    kinds = {one.name: str(one.type) for one in fields(request) if one.name != "json_"}
    names = {name.removesuffix("_"): name for name in kinds}
    found = {}
    for name, value in options.items():
        if name not in names:
            raise UserError(f"{verb} has no option {name!r}{nearest(name, names)}")
        kind = kinds[names[name]]
        if "list[" in kind and isinstance(value, str | os.PathLike):
            value = [value]
        if "Path" in kind and isinstance(value, list):
            value = [Path(one) for one in value]
        elif "Path" in kind and value is not None:
            value = Path(value)
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        elif isinstance(value, list):
            value = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in value]
        found[names[name]] = value
    missing = [
        name.removesuffix("_")
        for name, one in ((one.name, one) for one in fields(request))
        if name not in found and one.default is MISSING and one.default_factory is MISSING
    ]
    if missing:
        raise UserError(f"{verb} needs {missing[0]}, which is missing")
    return found


def _verb_name(request: type[Any]) -> str:
    """Return a verb as it is typed: `recipe-keys` for `RecipeKeys`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", request.__name__).lower()


def _verb(request: type[Any], module: str) -> Callable[..., None]:
    """Return a function whose parameters are a request's fields, its own before those that it shares."""
    name = _verb_name(request)

    def verb(**given: object) -> None:
        command = getattr(import_module(f"distilkit.commands.{module}"), name.replace("-", "_"))
        try:
            text: str | None = command(request(**given))
        except BaseException as error:
            raise _Raised(_broken(name, error)) from error
        try:
            if text is not None:
                print(printable(text), flush=True)
        except BrokenPipeError:
            raise _ReaderLeft from None

    own = {one.name: one for one in fields(request)}
    ordered = dict.fromkeys(name for part in request.__mro__ for name in inspect.get_annotations(part) if name in own)
    verb.__signature__ = inspect.Signature([_parameter(own[name]) for name in ordered])  # type: ignore[attr-defined]
    verb.__annotations__ = {}
    verb.__doc__ = request.__doc__
    return verb


def _parameter(option: "Field[Any]") -> inspect.Parameter:
    default = option.default_factory() if option.default_factory is not MISSING else option.default
    default = inspect.Parameter.empty if default is MISSING else default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.type)


for _request, _module in VERBS.items():
    app.command(_verb_name(_request))(_verb(_request, _module))

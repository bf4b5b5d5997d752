"""The command line: verbs only; torch and textual are imported inside the verb that needs them."""

import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from distilkit import __version__
from distilkit.errors import RunFailed, Stopped, UserError

app = typer.Typer(
    name="distilkit",
    help="Distil neural rankers, and find out whether the difference is real.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsDir = Annotated[Path, typer.Option("--runs-dir", envvar="DISTILKIT_RUNS", help="The folder of all runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Listed = list[str]
Margin = Literal["relative", "absolute"]


def main() -> None:
    """Run a verb; exit code 0 done, 1 the run failed, 2 the input is wrong, 130 stopped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character shows its number
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except UserError as error:
        _leave(error, 2)
    except RunFailed as error:
        _leave(error, 1)
    except Stopped as error:
        _leave(error, 130)
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing is wrong, and nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _leave(error, 1)
    except SystemExit as done:
        if done.code == 130:
            _leave("stopped at once; go on from the last checkpoint with --resume auto", 130)
        # Typer leaves with 1 for nothing but a reader that has gone.
        sys.exit(0 if done.code == 1 else done.code)


def _leave(problem: object, code: int) -> None:
    from distilkit.tables import plain

    print(f"distilkit: {plain(str(problem))}", file=sys.stderr)
    sys.exit(code)


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


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")],
    set_: Annotated[
        Listed | None, typer.Option("--set", metavar="K=V", help="Change a key, as section.key=value.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; the recipe's by default.")] = None,
    runs_dir: RunsDir = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="The student's seed.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="auto|RUN", help="Continue a run, or print a finished one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show stages, steps, sizes and what is cached.")] = False,
    json_: Json = False,
) -> None:
    """Train, evaluate and compare what a recipe names."""
    from distilkit.recipe import load_with_source
    from distilkit.runs.execute import Request, execute
    from distilkit.runs.plan import plan

    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {runs_dir}: expected a folder")
    overrides = list(set_ or [])
    overrides += [f"name={json.dumps(name)}"] if name is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    if resume not in (None, "auto"):
        overrides.append(f"name={json.dumps(_run_name(str(resume), runs_dir))}")
    loaded, source = load_with_source(recipe, overrides)
    request = Request(loaded, source, runs_dir, resume is not None)
    if dry_run:
        made = plan(request)
        print(json.dumps(made.to_json(), indent=2) if json_ else made.to_text())
        return
    folder = execute(request, quiet=json_)
    if folder is not None:
        print(_finished(folder.path, "json" if json_ else "text"))


@app.command()
def compare(
    systems: Annotated[
        Listed, typer.Argument(metavar="SYSTEM...", help="Run folders, names of runs or suites, TREC run files.")
    ],
    baseline: Annotated[Listed | None, typer.Option(help="NAME or NAME:LETTER; repeatable.")] = None,
    pairs: Annotated[
        str, typer.Option(metavar="baseline|all", help="Against the baselines, or all with all.")
    ] = "baseline",
    measures: Annotated[Listed | None, typer.Option(help="Measures as in ir-measures.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements, TREC or BEIR TSV, plain or .gz.")] = None,
    eval_set: Annotated[str, typer.Option(help="The query set of run folders.")] = "test",
    queries: Annotated[str, typer.Option(metavar="judged|intersection")] = "judged",
    test: Annotated[str, typer.Option(metavar="t-test|wilcoxon|permutation|bootstrap")] = "t-test",
    correction: Annotated[str, typer.Option(metavar="none|bonferroni|holm|bh")] = "holm",
    alpha: Annotated[Listed | None, typer.Option(help="Levels of the marks, the larger one the interval's.")] = None,
    non_inferiority: Annotated[float, typer.Option(help="The margin.")] = 0.03,
    margin_kind: Annotated[Margin, typer.Option()] = "relative",
    format_: Annotated[str, typer.Option("--format", metavar="text|markdown|json|csv")] = "text",
    output: Annotated[Path | None, typer.Option(help="Write to a file instead of the screen.")] = None,
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Test whether the differences between systems are real."""
    from distilkit.comparison.compare import compare as compare_systems
    from distilkit.comparison.render import render
    from distilkit.comparison.systems import read_systems
    from distilkit.files import write_text

    names = _split(measures)
    read = read_systems(systems, runs_dir=runs_dir, measures=names, qrels=qrels, eval_set=eval_set)
    result = compare_systems(
        read,
        baselines=_baselines(baseline, [system.name for system in read]),
        measures=names,
        pairs=pairs,
        queries=queries,
        test=test,
        correction=correction,
        alpha=_levels(alpha) or (0.05, 0.01),
        noninferiority=non_inferiority,
        margin_kind=margin_kind,
        eval_set=eval_set,
    )
    text = render(result, "json" if json_ else format_, _screen(output is None and sys.stdout.isatty()))
    if output is None:
        print(text.rstrip("\n"))
        return
    try:
        write_text(output, text)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None


@app.command()
def runs(runs_dir: RunsDir = Path("runs"), json_: Json = False) -> None:
    """List the runs: state, strategy, student, step and measures."""
    from distilkit.runs.state import find_runs, summary
    from distilkit.tables import table

    rows = [summary(folder, runs_dir) for folder in find_runs(runs_dir)]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print(f"no runs in {runs_dir}")
        return
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    print(table(["run", "state", "strategy", "student", "step", *names], [_run_row(row, names) for row in rows]))


def _run_row(row: dict[str, Any], names: list[str]) -> list[str]:
    step = f"{row['step']}/{row['total']}" if row["total"] else ""
    values = [f"{row['measures'][name]:.4f}" if name in row["measures"] else "" for name in names]
    return [row["name"], row["state"], row["strategy"], row["student"], step, *values]


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Show one run: state, settings, validation, cost, measures."""
    from distilkit.runs.show import describe, to_text
    from distilkit.runs.state import locate

    found = describe(locate(name, runs_dir))
    print(json.dumps(found, indent=2) if json_ else to_text(found))


@app.command()
def strategies(
    name: Annotated[str | None, typer.Argument(help="One strategy, in full.")] = None, json_: Json = False
) -> None:
    """List the strategies, or explain one."""
    from distilkit.strategies.describe import explain, listing
    from distilkit.tables import table

    found = listing(name)
    if json_:
        print(json.dumps(found, indent=2))
    elif name is not None:
        print(explain(name))
    else:
        rows = [[row["name"], ", ".join(row["stages"]), row["paper"]] for row in found]
        print(table(["strategy", "stages", "paper"], rows))


@app.command()
def recipes(json_: Json = False) -> None:
    """List the recipes that come with distilkit."""
    from distilkit.recipe import load_recipe, shipped_recipes
    from distilkit.tables import table

    rows = []
    for name, path in shipped_recipes().items():
        loaded = load_recipe(path)
        row = {"name": name, "strategy": loaded.strategy["name"], "data": loaded.data.source}
        rows.append({**row, "description": loaded.description, "path": str(path)})
    if json_:
        print(json.dumps(rows, indent=2))
        return
    columns = ["name", "strategy", "data", "description"]
    print(table(["recipe", *columns[1:]], [[row[column] for column in columns] for row in rows]))


def _finished(folder: Path, format_: str) -> str:
    from distilkit.runs.report import report

    return report(folder, format_, _screen(sys.stdout.isatty()))


def _screen(terminal: bool) -> Any:
    """Return what is printed on: bold and its own width on a terminal, plain and 120 columns elsewhere."""
    from distilkit.comparison.render import Screen

    if not terminal:
        return Screen(width=120)
    return Screen(max(80, shutil.get_terminal_size().columns), styled="NO_COLOR" not in os.environ)


def _run_name(name: str, runs_dir: Path) -> str:
    from distilkit.runs.state import locate

    found = locate(name, runs_dir).path.resolve()
    if not found.is_relative_to(runs_dir.resolve()):
        raise UserError(f"--resume {name}: the run is not in {runs_dir}; name its folder with --runs-dir")
    return str(found.relative_to(runs_dir.resolve()))


def _split(values: Listed | None) -> Listed | None:
    return [part for value in values for part in value.split()] if values else None


def _baselines(values: Listed | None, names: Listed) -> Listed | None:
    """Split a value at its blanks unless it is a system's name, which may hold some."""
    whole = [value for value in values or [] if value in names or value.rpartition(":")[0] in names]
    return [part for value in values for part in ([value] if value in whole else value.split())] if values else None


def _levels(values: Listed | None) -> tuple[float, ...]:
    levels = []
    for text in _split(values) or []:
        try:
            levels.append(float(text))
        except ValueError:
            raise UserError(f"--alpha {text}: expected a number between 0 and 1") from None
    return tuple(levels)

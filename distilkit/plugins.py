"""Code that is not distilkit's own: entry points of installed packages, and Python files that a recipe names.

Such modules register themselves when imported. Files of a recipe are run only by those who were allowed to: reading a
recipe refuses them unless the caller brings a rule of its own.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Any

from distilkit.errors import UserError
from distilkit.files import content_key, sha256_bytes, sha256_file

# A package names its modules under this group in its pyproject.toml: [project.entry-points."distilkit.strategies"].
GROUP = "distilkit.strategies"


@dataclass(frozen=True)
class Plugin:
    """A Python file that a recipe names, with the recipe that names it; `name` is as it stands there."""

    name: str
    recipe: Path

    @property
    def file(self) -> Path:
        """Where it lies: paths are relative to the recipe."""
        return (self.recipe.parent / self.name).resolve()

    @cached_property
    def source(self) -> bytes:
        """Its bytes, read once, so that what is hashed is what is run; raises UserError where there is no such file."""
        try:
            return self.file.read_bytes()
        except (OSError, ValueError):
            raise UserError(f"{self.recipe}: plugins: there is no file {self.name}") from None

    @property
    def sha256(self) -> str:
        """The hash of its bytes."""
        return sha256_bytes(self.source)

    def to_json(self) -> dict[str, str]:
        """Return what run.json says of it."""
        return {"file": self.name, "sha256": self.sha256}


Trust = Callable[[dict[str, Any], Sequence[Plugin]], None]
"""Is asked before the plug-ins of a recipe's table are run; raises UserError where they are not to be."""


def refuse(table: dict[str, Any], plugins: Sequence[Plugin]) -> None:
    """Raise UserError: what lists, shows or plans recipes runs no code that they name."""
    first = plugins[0]
    raise UserError(
        f"{first.recipe}: plugins: {first.name} is code, which only the command line runs: distilkit run {first.recipe}"
    )


def load_entry_points() -> None:
    """Import what installed packages bring; raises UserError that names the package whose module fails."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # whatever a module of others does when it is imported
            package = point.dist.name if point.dist else point.value
            raise UserError(f"the package {package} brings {point.value}, which cannot be imported: {error}") from error


class _Loader(SourceFileLoader):
    """Runs the bytes that were hashed: byte code that lies in __pycache__ beside the file may be of anything else."""

    def __init__(self, name: str, plugin: Plugin) -> None:
        super().__init__(name, str(plugin.file))
        self._source = plugin.source

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the source."""
        code: CodeType = self.source_to_code(self._source, self.path)
        return code


def load_plugin(plugin: Plugin) -> None:
    """Run a plug-in once a process; raises UserError where it is missing or fails, naming the recipe that asks for it.

    Call it only for those that a Trust has let pass.
    """
    name = f"distilkit_plugin_{plugin.sha256[:16]}"
    if name in sys.modules:
        return
    if plugin.file.suffix != ".py":
        raise UserError(f"{plugin.recipe}: plugins: {plugin.name} is not a Python file; expected one that ends in .py")
    spec = importlib.util.spec_from_file_location(name, plugin.file, loader=_Loader(name, plugin))
    if spec is None or spec.loader is None:
        raise UserError(f"{plugin.recipe}: plugins: {plugin.name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(
            f"{plugin.recipe}: plugins: {plugin.name} cannot be imported: {type(error).__name__}: {error}"
        ) from error


def code_of(kind: type) -> str | None:
    """Return the sha256 of the code of a class that is not distilkit's own, for keys of what it computes.

    It is that of the class's file, and of its compiled functions where it has none, as in a notebook.
    """
    if kind.__module__.partition(".")[0] == "distilkit":
        return None
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is not None and Path(file).is_file():
        return sha256_file(Path(file))
    return content_key([_compiled(own) for own in kind.__mro__ if own.__module__ == kind.__module__])


def _compiled(kind: type) -> dict[str, str]:
    """Return what a class defines: the instructions, constants and names of its functions, and its other values."""
    found = {}
    for name, value in vars(kind).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        code = getattr(function, "__code__", None)
        if code is not None:
            found[name] = _instructions(code)
        elif not name.startswith("__"):
            found[name] = repr(value) if isinstance(value, str | int | float | tuple) else type(value).__qualname__
    return found


def _instructions(code: CodeType) -> str:
    inner = [_instructions(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return repr((code.co_code, inner, code.co_names, code.co_varnames))


def this_command() -> list[str]:
    """Return the words that start distilkit in a process of its own.

    -P keeps the working folder off its module path: a file torch.py that lies there would be imported for torch.
    """
    return [sys.executable, "-P", "-m", "distilkit"]

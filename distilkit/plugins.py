"""Strategies and losses of other packages and of files beside a recipe, which register themselves when imported."""

import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType

from distilkit.errors import UserError
from distilkit.files import content_key, sha256_file

# A package names its modules under this group in its pyproject.toml: [project.entry-points."distilkit.strategies"].
GROUP = "distilkit.strategies"


def load_entry_points() -> None:
    """Import what installed packages bring; raises UserError that names the package whose module fails."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # whatever a module of others does when it is imported
            package = point.dist.name if point.dist else point.value
            raise UserError(f"the package {package} brings {point.value}, which cannot be imported: {error}") from error


def load_file(path: Path, recipe: Path) -> None:
    """Import a Python file once; raises UserError where it is missing or fails, naming the recipe that asks for it."""
    file = (recipe.parent / path).resolve()
    name = f"distilkit_plugin_{sha256_file(file)[:16]}" if file.is_file() else ""
    if not name:
        raise UserError(f"{recipe}: plugins: there is no file {path}")
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f"{recipe}: plugins: {path} is no Python file; expected one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{recipe}: plugins: {path} cannot be imported: {type(error).__name__}: {error}") from error


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

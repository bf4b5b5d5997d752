"""Strategies and losses of other packages and of files beside a recipe, which register themselves when imported."""

import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path

from distilkit.errors import UserError
from distilkit.files import sha256_file

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


def code_of(module: str) -> str | None:
    """Return the sha256 of a module's file where it is not distilkit's own, for keys of what it computes."""
    if module.partition(".")[0] == "distilkit":
        return None
    spec = importlib.util.find_spec(module) if module not in sys.modules else sys.modules[module].__spec__
    return sha256_file(Path(spec.origin)) if spec is not None and spec.origin else None

"""Docstrings of installed packages, parsed from their sources and never imported."""

import ast
import importlib.util
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from distilkit.errors import UserError

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

SKIPPED_FOLDERS = {"test", "tests", "site-packages", "dist-packages", "__pycache__"}
# Parts of the standard library that distributors split off, or that only some of the supported Pythons have:
# without them a Python version has the same docstrings on every machine.
SKIPPED_STDLIB = {"idlelib", "tkinter", "turtledemo", "turtle.py", "lib2to3", "distutils", "ensurepip", "pydoc_data"}


class Docstring(NamedTuple):
    """A docstring and what it documents: `name` is the dotted path, `parameters` a list such as "(a, *, b)"."""

    name: str
    parameters: str
    text: str


def docstrings(package: str, dropped: Counter[str]) -> Iterator[Docstring]:
    """Yield a package's public docstrings ("stdlib" is the standard library), by path and then by place in the file.

    A name that starts with an underscore is private, and so is all inside it; `dropped` counts those. Modules whose
    file starts with one are read: numpy and scipy define their public functions there. Raises UserError where the
    package's sources are not installed.
    """
    root = package_folder(package)
    files = sorted((path.relative_to(root).parts, path) for path in root.rglob("*.py"))
    found = False
    for parts, path in files:
        if _skipped(package, parts):
            continue
        found = True
        module = ".".join(_module(package, parts))
        tree = _parse(path)
        if tree is not None:
            if text := ast.get_docstring(tree):
                yield Docstring(module, "", text)
            yield from _inside(tree, module, dropped)
    if not found:
        raise UserError(f"{root} has no Python sources; expected those of {package}, for the built-in collection")


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it; raises UserError where it is not installed."""
    if package == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {package} is not installed; expected it, for the built-in collection")
    return Path(spec.origin).parent


def _skipped(package: str, parts: tuple[str, ...]) -> bool:
    if parts[-1].startswith(("test_", "_sysconfigdata")) or not SKIPPED_FOLDERS.isdisjoint(parts[:-1]):
        return True
    return package == "stdlib" and parts[0] in SKIPPED_STDLIB


def _module(package: str, parts: tuple[str, ...]) -> list[str]:
    names = [*([] if package == "stdlib" else [package]), *parts[:-1], parts[-1].removesuffix(".py")]
    return names[:-1] if names[-1] == "__init__" else names


def _parse(path: Path) -> ast.Module | None:
    with warnings.catch_warnings():
        # Invalid escapes and the like are their authors' affair.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return None


def _inside(scope: ast.AST, name: str, dropped: Counter[str]) -> Iterator[Docstring]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, Documented):
            text = ast.get_docstring(node)
            if node.name.startswith("_"):
                dropped["private"] += _documented(node)
                continue
            inner = f"{name}.{node.name}"
            if text:
                yield Docstring(inner, _parameters(node, isinstance(scope, ast.ClassDef)), text)
            if isinstance(node, ast.ClassDef):
                yield from _inside(node, inner, dropped)
        elif isinstance(node, ast.If | ast.Try | ast.ExceptHandler | ast.With):
            yield from _inside(node, name, dropped)


def _documented(node: Documented) -> int:
    members = node.body if isinstance(node, ast.ClassDef) else []
    inner = sum(_documented(member) for member in members if isinstance(member, Documented))
    return inner + (ast.get_docstring(node, clean=False) is not None)


def _parameters(node: Documented, method: bool) -> str:
    if isinstance(node, ast.ClassDef):
        makers = [member for member in node.body if isinstance(member, ast.FunctionDef) and member.name == "__init__"]
        return _parameters(makers[0], True) if makers else ""
    own = node.args
    names = [parameter.arg for parameter in (*own.posonlyargs, *own.args)]
    if method and names[:1] in (["self"], ["cls"]):
        del names[0]
    names += [f"*{own.vararg.arg}"] if own.vararg else []
    names += [parameter.arg for parameter in own.kwonlyargs]
    names += [f"**{own.kwarg.arg}"] if own.kwarg else []
    return f"({', '.join(names)})"

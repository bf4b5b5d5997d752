"""Docstrings of installed packages, parsed and never imported; each cut into a first sentence and a body."""

import ast
import importlib.util
import re
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

QUERY_WORDS = range(4, 31)
LEAST_BODY_WORDS = 20
BODY_WORDS = 35

ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|resp|approx|Fig|Eq|Ref|No)|\b[A-Z])\.$")
SENTENCE_END = re.compile(r"[.!?](?=\s)")
BLANK_LINE = re.compile(r"\n\s*\n")
RULE = re.compile(r"^\s*[-=~*^#]{3,}\s*$", re.MULTILINE)


class UnfitError(Exception):
    """A docstring makes no query and document; the message is the reason, for counting."""


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
        yield from in_file(path, ".".join(_module(package, parts)), dropped)
    if not found:
        raise UserError(f"{root} has no Python sources; expected those of {package}, for the built-in collection")


def in_file(path: Path, module: str, dropped: Counter[str]) -> Iterator[Docstring]:
    """Yield the public docstrings of a file, none of one that is not Python; `dropped` counts private ones."""
    tree = _parse(path)
    if tree is not None:
        if text := ast.get_docstring(tree):
            yield Docstring(module, "", text)
        yield from _inside(tree, module, dropped)


def package_folder(package: str) -> Path:
    """Return the folder of an installed package without importing it; raises UserError where it is not installed."""
    if package == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UserError(f"the package {package} is not installed; expected it, for the built-in collection")
    return Path(spec.origin).parent


def query_and_body(docstring: Docstring) -> tuple[str, list[str]]:
    """Return the first sentence and the words of the body; raises UnfitError where either is too short or too long."""
    found = sentences(docstring.text)
    query = found[0] if found else ""
    length = len(query.split())
    if length not in QUERY_WORDS:
        raise UnfitError("query too short" if length < QUERY_WORDS.start else "query too long")
    plain = normalised(query)
    body = " ".join(sentence for sentence in found[1:] if plain not in normalised(sentence)).split()
    if len(body) < LEAST_BODY_WORDS:
        raise UnfitError("body too short")
    return query, body


def document(docstring: Docstring, query: str, body: list[str]) -> str:
    """Return the document: name, parameters and the body's beginning; raises UnfitError where it contains the query.

    Private modules on the way are left out of the name: people know scipy.stats._morestats.anderson without the middle.
    """
    *above, last = docstring.name.split(".")
    name = ".".join([*(part for part in above if not part.startswith("_")), last])
    text = f"{name}{docstring.parameters} {' '.join(body[:BODY_WORDS])}"
    # Sentences were compared one by one: a query may still lie across two of them.
    if normalised(query) in normalised(text):
        raise UnfitError("query in document")
    return text


def normalised(text: str) -> str:
    """Return a text's words in lower case, joined by single blanks, without any punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


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
        except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
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


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; a blank line ends one as well, underlines and backticks are not text."""
    found = []
    for paragraph in BLANK_LINE.split(RULE.sub("", text).replace("`", "")):
        line, start = " ".join(paragraph.split()), 0
        for end in SENTENCE_END.finditer(line):
            if not ABBREVIATION.search(line[start : end.end()]):
                found.append(line[start : end.end()].strip())
                start = end.end()
        found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]

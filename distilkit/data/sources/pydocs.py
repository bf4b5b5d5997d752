"""The built-in collection: docstrings of the standard library, numpy and scipy, each searched by its first sentence.

A document is a dotted name, its parameters and the beginning of the docstring's body; its query is the docstring's
first sentence, which the body does not repeat. Everything comes from packages that are installed anyway, so the
collection needs no network; it depends on their versions, which its key and `info` state.
"""

import hashlib
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from distilkit.data.judgements import Qrels
from distilkit.data.sources.base import SOURCES
from distilkit.data.sources.docstrings import (
    Docstring,
    UnfitError,
    docstrings,
    document,
    normalised,
    query_and_body,
)

BUILDER = 1
PACKAGES = ("stdlib", "numpy", "scipy")
DUPLICATE_WORDS = 40
TEST_QUERIES, DEV_QUERIES = 800, 200


class Entry(NamedTuple):
    """A document and its query; `beginning` is what tells two bodies apart."""

    name: str
    text: str
    query: str
    beginning: str

    @property
    def query_id(self) -> str:
        """The beginning of the hash that decides the split."""
        return query_hash(self.query)[:16]


@SOURCES.register("pydocs")
class PydocsSource:
    """The built-in collection, made from the sources of the running Python, numpy and scipy without importing them."""

    def key(self) -> dict[str, object]:
        """Return the versions that the docstrings depend on."""
        return {"source": "pydocs", "builder": BUILDER, "versions": _versions()}

    def write(self, folder: Path) -> None:
        """Write the collection; raises UserError where a package's sources are not installed."""
        # Here and not above: the registry of sources must not load pyarrow.
        from distilkit.data.writing import write_collection

        entries, documents, dropped = collect()
        write_collection(
            folder,
            name="pydocs",
            passages=((entry.name, entry.text) for entry in entries),
            queries=((entry.query_id, entry.query) for entry in entries),
            qrels=split(entries),
            info={"source": "pydocs", "versions": _versions(), "documents": documents, "dropped": dropped},
        )


def collect() -> tuple[list[Entry], dict[str, int], dict[str, int]]:
    """Return the entries, their number per package, and the number of docstrings dropped per reason."""
    entries: list[Entry] = []
    seen: set[tuple[str, str]] = set()
    documents, dropped = dict.fromkeys(PACKAGES, 0), Counter[str]()
    for package in PACKAGES:
        for docstring in docstrings(package, dropped):
            try:
                entries.append(_entry(docstring, seen))
                documents[package] += 1
            except UnfitError as reason:
                dropped[str(reason)] += 1
    return entries, documents, dict(sorted(dropped.items()))


def query_hash(query: str) -> str:
    """Return what queries are sorted by before they are split, so that most keep their split as packages change."""
    return hashlib.sha1(f"pydocs-2:{query}".encode(), usedforsecurity=False).hexdigest()


def split(entries: list[Entry]) -> dict[str, Qrels]:
    """Return each split's judgements: the first queries by hash are test, the next dev, the rest train."""
    by_hash = sorted(entries, key=lambda entry: query_hash(entry.query))
    bounds = {"test": (0, TEST_QUERIES), "dev": (TEST_QUERIES, TEST_QUERIES + DEV_QUERIES)}
    bounds["train"] = (bounds["dev"][1], len(entries))
    return {name: {entry.query_id: {entry.name: 1} for entry in by_hash[slice(*ends)]} for name, ends in bounds.items()}


def _entry(docstring: Docstring, seen: set[tuple[str, str]]) -> Entry:
    query, body = query_and_body(docstring)
    entry = Entry(docstring.name, document(docstring, query, body), query, " ".join(body[:DUPLICATE_WORDS]))
    marks = {"name": entry.name, "query": normalised(query), "body": normalised(entry.beginning)}
    for kind, mark in marks.items():
        if (kind, mark) in seen:
            raise UnfitError(f"duplicate {kind}")
    seen.update(marks.items())
    return entry


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": version("numpy"), "scipy": version("scipy")}

"""The built-in collection: docstrings of the standard library, numpy and scipy, each searched by its first sentence.

A document is a dotted name, its parameters and the beginning of the docstring's body; its query is the docstring's
first sentence, which the body does not repeat. Everything comes from packages that are installed anyway, so the
collection needs no network; it depends on their versions, which its key and `info` state.

Python's libraries say many things twice. Of nearly equal documents the first is kept, and nearly equal queries lie in
one split, so that nothing is tested that was trained on.
"""

import gc
import hashlib
import platform
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from distilkit.data.judgements import Qrels
from distilkit.data.near_duplicates import near_groups, near_pairs
from distilkit.data.sources.base import SOURCES
from distilkit.data.sources.docstrings import (
    Docstring,
    UnfitError,
    docstrings,
    document,
    normalised,
    query_and_body,
)

VERSION = 3
"""Raised when the rules change: version 3 leaves out nearly equal documents and keeps near queries in one split."""
PACKAGES = ("stdlib", "numpy", "scipy")
DUPLICATE_WORDS = 40
NEAR = 0.8
"""The Jaccard similarity of the words of two texts from which they count as nearly equal."""
TEST_QUERIES, DEV_QUERIES = 800, 200


class DocEntry(NamedTuple):
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
        return {"source": "pydocs", "version": VERSION, "versions": _versions()}

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
            info={
                "source": "pydocs",
                "version": VERSION,
                "versions": _versions(),
                "documents": documents,
                "dropped": dropped,
            },
        )


def collect() -> tuple[list[DocEntry], dict[str, int], dict[str, int]]:
    """Return the entries, their number per package, and the number of docstrings dropped per reason."""
    entries: list[tuple[str, DocEntry]] = []
    seen: set[tuple[str, str]] = set()
    dropped = Counter[str]()
    with _no_search_for_cycles():
        for package in PACKAGES:
            for docstring in docstrings(package, dropped):
                try:
                    entries.append((package, _entry(docstring, seen)))
                except UnfitError as reason:
                    dropped[str(reason)] += 1
    copies = near_copies([entry for _, entry in entries])
    dropped["nearly equal document"] = len(copies)
    kept = [entry for place, entry in enumerate(entries) if place not in copies]
    documents = {name: sum(package == name for package, _ in kept) for name in PACKAGES}
    return [entry for _, entry in kept], documents, dict(sorted(dropped.items()))


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Keep Python from searching for cycles of references: syntax trees have none, and half of the time goes there."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def near_copies(entries: list[DocEntry]) -> set[int]:
    """Return the places of the documents that are nearly equal to an earlier one that is kept."""
    copies: set[int] = set()
    for later, earlier in near_pairs([_words(entry.text) for entry in entries], NEAR):
        if earlier not in copies:
            copies.add(later)
    return copies


def query_hash(query: str) -> str:
    """Return what groups of queries are sorted by before they are split: most keep their split as packages change."""
    return hashlib.sha1(f"pydocs-{VERSION}:{query}".encode(), usedforsecurity=False).hexdigest()


def split(entries: list[DocEntry]) -> dict[str, Qrels]:
    """Return each split's judgements: the first groups of near queries by hash are test, the next dev, the rest train.

    A group that has more queries than test has room for goes to dev, or to train.
    """
    groups = [
        sorted((entries[place] for place in group), key=lambda entry: entry.query)
        for group in near_groups([_words(entry.query) for entry in entries], NEAR)
    ]
    splits: dict[str, Qrels] = {"train": {}, "dev": {}, "test": {}}
    room = {"test": TEST_QUERIES, "dev": DEV_QUERIES, "train": len(entries)}
    # A group goes by the hash of one of its queries, so that large groups are not likelier than others to be tested.
    for group in sorted(groups, key=lambda group: query_hash(group[0].query)):
        name = next(name for name in room if len(splits[name]) + len(group) <= room[name])
        splits[name].update({entry.query_id: {entry.name: 1} for entry in group})
    return splits


def _words(text: str) -> set[str]:
    return set(normalised(text).split())


def _entry(docstring: Docstring, seen: set[tuple[str, str]]) -> DocEntry:
    query, body = query_and_body(docstring)
    entry = DocEntry(docstring.name, document(docstring, query, body), query, " ".join(body[:DUPLICATE_WORDS]))
    marks = {"name": entry.name, "query": normalised(query), "body": normalised(entry.beginning)}
    for kind, mark in marks.items():
        if (kind, mark) in seen:
            raise UnfitError(f"duplicate {kind}")
    seen.update(marks.items())
    return entry


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": version("numpy"), "scipy": version("scipy")}

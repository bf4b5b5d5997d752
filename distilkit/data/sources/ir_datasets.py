"""A collection of the library ir_datasets, by its ids, such as `msmarco-passage` or `beir/scifact`."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from distilkit.data.judgements import Place, Run, judgements_of, run_of
from distilkit.data.reading import Row
from distilkit.data.sources.base import SOURCES, write_source
from distilkit.errors import UserError, first_line, nearest
from distilkit.files import canonical_json

if TYPE_CHECKING:
    from ir_datasets import Dataset

INSTALL = 'pip install "distilkit[ir-datasets]"'
# What a split may be called below an id; the first that has judgements is it.
NAMES = {"train": ("train",), "dev": ("dev/small", "dev", "validation", "valid"), "test": ("test",)}
SPLIT = re.compile(r"[A-Za-z0-9_-]+")


@SOURCES.register("ir_datasets")
class IrDatasetsSource:
    """The collection that ids of ir_datasets stand for; what is missing here, the library downloads.

    `dataset` is a collection's id. Its splits are found by name: ID/train; ID/dev/small or ID/dev; ID/test; an id that
    has judgements itself is a split of its own last name, else test. `splits` names them instead, by full ids, which
    must all share one collection of documents. `candidates = "scoreddocs"` takes those of the splits that have some.
    Documents and queries are the library's default text. It may read documents from its own store, a file that it
    wrote itself.
    """

    def __init__(
        self,
        dataset: str | None = None,
        splits: Mapping[str, str] | None = None,
        candidates: str | None = None,
    ) -> None:
        if dataset is None and not splits:
            raise UserError(
                "[data] dataset is missing; source = 'ir_datasets' reads an id such as 'beir/scifact', or splits"
            )
        if candidates not in (None, "bm25", "scoreddocs"):
            problem = "source = 'ir_datasets' has none of that name; expected 'scoreddocs' or 'bm25'"
            raise UserError(f"[data] candidates = {candidates!r}: {problem}")
        odd = next((name for name in splits or () if not SPLIT.fullmatch(name)), None)
        if odd is not None:
            raise UserError(f"[data] splits: {odd!r} is not a split's name; expected letters, digits, _ and -")
        self.dataset, self.chosen, self.candidates = dataset, dict(splits or {}), candidates

    def key(self) -> dict[str, object]:
        """Return what the content depends on; raises UserError for an unknown id, or where the library is missing.

        For an id that comes with the library these are id and version, as it verifies what it downloads: no passage
        is read, but a file that somebody changed in its cache is not noticed either. For an id that somebody
        registered it is the sha256 of the content, which is read for it.
        """
        splits = self._splits()
        parts = ("queries", "qrels", *(("scoreddocs",) if self.candidates == "scoreddocs" else ()))
        return {
            "source": "ir_datasets",
            "format": 1,
            "version": library().__version__,
            "documents": [self._whole(splits), content(self._whole(splits), ("docs",))],
            "splits": {split: [id, content(id, parts)] for split, id in splits.items()},
            "candidates": self.candidates == "scoreddocs",
        }

    def write(self, folder: Path) -> None:
        """Write the collection; raises UserError for content that is wrong, or that cannot be downloaded."""
        splits = self._splits()
        whole = self._whole(splits)
        write_source(
            folder,
            lambda error: f"{splits.get(error.table.partition('/')[2], whole)} {error.table}",
            name=whole,
            passages=((row.key[0], row.value) for row in rows(whole, "docs")),
            queries=((row.key[0], row.value) for id in splits.values() for row in rows(id, "queries")),
            qrels={
                split: judgements_of(partial(rows, id, "qrels"), place(id, "qrels")) for split, id in splits.items()
            },
            candidates=self._runs(splits),
            info={"source": "ir_datasets", "version": library().__version__, "splits": splits},
        )

    def _whole(self, splits: Mapping[str, str]) -> str:
        """Return the id whose documents are taken."""
        return self.dataset or str(library().docs_parent_id(next(iter(splits.values()))))

    def _splits(self) -> dict[str, str]:
        """Return the id of each split; raises UserError for ids that are unknown or do not go together."""
        whole = load(self.dataset) if self.dataset else None
        splits = self.chosen or _found(self.dataset or "")
        for split, id in splits.items():
            loaded = load(id)
            for part in ("docs", "queries", "qrels"):
                if not loaded.has(part):
                    raise UserError(f"[data] splits: {split} = {id!r} has no {part}; expected an id with judgements")
            whole = whole or loaded
            if not whole.has("docs") or loaded.docs_handler() != whole.docs_handler():
                other = self.dataset or next(iter(splits.values()))
                raise UserError(
                    f"[data] splits: {split} = {id!r} has other documents than {other!r}; expected the same"
                )
        return splits

    def _runs(self, splits: dict[str, str]) -> dict[str, Run]:
        if self.candidates != "scoreddocs":
            return {}
        runs = {split: run_of(rows(id, "scoreddocs")) for split, id in splits.items() if load(id).has("scoreddocs")}
        if not runs:
            raise UserError(f"[data] candidates = 'scoreddocs': none of {', '.join(splits.values())} has any")
        return runs


def _found(id: str) -> dict[str, str]:
    """Return the splits below an id by their names; raises UserError where there is none."""
    known = set(library().registry)
    below = {
        split: next((f"{id}/{name}" for name in names if f"{id}/{name}" in known and judged(f"{id}/{name}")), None)
        for split, names in NAMES.items()
    }
    found = {split: full for split, full in below.items() if full is not None}
    if not found and judged(id):
        last = id.rpartition("/")[2]
        found = {last if last in NAMES else "test": id}
    if not found:
        others = sorted(one for one in known if one.startswith(f"{id}/") and judged(one))
        also = f"; with judgements there are {', '.join(others[:8])}" if others else ""
        raise UserError(f"ir_datasets has no {id}/train, {id}/dev or {id}/test; name them by [data] splits{also}")
    return found


def library() -> ModuleType:
    """Import the library; raises UserError that says how to install it."""
    if find_spec("ir_datasets") is None:
        raise UserError(f"source = 'ir_datasets' needs the package ir_datasets: {INSTALL}")
    return import_module("ir_datasets")


def load(id: str) -> "Dataset":
    """Return a data set; raises UserError for an unknown id, with the nearest one."""
    registry = library().registry
    try:
        return registry[id]
    except KeyError:
        close = nearest(id, registry)
        # A list of all ids, where none is near, would help nobody.
        advice = close if close.startswith("; did") else ""
        raise UserError(f"ir_datasets has no data set {id!r}{advice}") from None


def judged(id: str) -> bool:
    """Tell whether a data set has queries with judgements."""
    loaded = load(id)
    return bool(loaded.has("queries") and loaded.has("qrels"))


def content(id: str, parts: Iterable[str]) -> str:
    """Return what tells the content of those parts of a data set that it has.

    One that comes with the library needs no more than its id and the library's version.
    """
    loaded = load(id)
    there = [part for part in parts if loaded.has(part)]
    if all(getattr(loaded, f"{part}_metadata")() for part in there):
        return "of the library"
    digest = hashlib.sha256()
    for part in there:
        for row in rows(id, part):
            digest.update(canonical_json([part, row.key, row.value]).encode())
    return digest.hexdigest()


def rows(id: str, part: str) -> Iterator[Row]:
    """Yield the rows of a part of a data set; raises UserError where the library cannot read them."""
    number = 0
    try:
        for number, record in enumerate(getattr(load(id), f"{part}_iter")(), start=1):
            yield Row(number, *_key_and_value(part, record))
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise UserError(f"{place(id, part)(number)}: ir_datasets cannot read on: {first_line(error)}") from error


def place(id: str, part: str) -> Place:
    """Return what tells messages where a row is."""
    return lambda number: f"{id} {part}, number {number}"


def _key_and_value(part: str, record: Any) -> tuple[tuple[str, ...], str | float]:
    if part == "docs":
        return (record.doc_id,), _text(record)
    if part == "queries":
        return (record.query_id,), _text(record)
    return (record.query_id, record.doc_id), record.relevance if part == "qrels" else float(record.score)


def _text(record: Any) -> str:
    """Return a record's default text, which joins title and text by a blank; of one that has none, the same."""
    if hasattr(record, "default_text"):
        return str(record.default_text()).strip()
    return " ".join(part for name in ("title", "text") if (part := getattr(record, name, "").strip()))

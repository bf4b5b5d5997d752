"""The data sets of ir_datasets: looked up by id, read part by part, told by content."""

import hashlib
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from distilkit.data.judgements import Qrels, Run
from distilkit.data.sources.merging import Place, judgements_of
from distilkit.data.sources.reading import Row
from distilkit.errors import UserError, nearest
from distilkit.files import canonical_json

INSTALL = 'pip install "distilkit[ir_datasets]"'


def library() -> Any:
    """Import the library; raises UserError that says how to install it."""
    if find_spec("ir_datasets") is None:
        raise UserError(f"source = 'ir_datasets' needs the package ir_datasets: {INSTALL}")
    import ir_datasets

    return ir_datasets


def load(id: str) -> Any:
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
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{place(id, part)(number)}: ir_datasets cannot read on: {problem}") from error


def place(id: str, part: str) -> Place:
    """Return what tells messages where a row is."""
    return lambda number: f"{id} {part}, number {number}"


def qrels(id: str) -> Qrels:
    """Return the judgements of a data set."""
    return judgements_of(rows(id, "qrels"), place(id, "qrels"))


def scored_documents(id: str) -> Run:
    """Return the candidates that a data set brings."""
    run: Run = {}
    for _, (query, passage), score in rows(id, "scoreddocs"):
        run.setdefault(query, []).append((passage, score))
    return run


def _key_and_value(part: str, record: Any) -> tuple[tuple[str, ...], Any]:
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

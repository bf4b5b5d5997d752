"""The internal form of teacher scores, built once out of a file of any format."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.teacher_scores.blocks import Block, Floats, Integers, refuse
from distilkit.data.teacher_scores.formats import FORMATS, sniff
from distilkit.data.teacher_scores.keys import Keys, as_bytes, joined, require_short
from distilkit.data.teacher_scores.provenance import read_provenance
from distilkit.data.teacher_scores.text_ids import TextIds, TextTables
from distilkit.errors import UserError
from distilkit.files import write_json

Numbers = npt.NDArray[np.int32]

FORMAT = 1
MANIFEST, TABLE = "manifest.json", "scores.arrow"
Unknown = Literal["error", "skip"]
COLUMNS = {2: ("query_id", "doc_id"), 3: ("query_id", "positive_id", "negative_id")}


def build(
    path: Path,
    folder: Path,
    *,
    format: str | None = None,
    collection: TextTables | None = None,
    on_unknown: Unknown = "error",
) -> dict[str, Any]:
    """Read a file of scores into a folder and return its manifest, which says what was read and what was left out.

    Args:
        path: a file of any format in `FORMATS`, or a folder of Parquet files
        folder: where the internal form goes
        format: the file's format; told by its beginning where absent
        collection: where the ids of texts are found, for a format that carries texts
        on_unknown: what becomes of a row whose text is not in the collection: `error`, or `skip`, which counts it

    Raises:
        UserError: with file and line, for what is wrong in the file
    """
    name = FORMATS.resolve(format) if format else sniff(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file; expected teacher scores")
    columns, scores, counts = _Columns(), _Scores(), {"unknown": 0}
    for block in _by_ids(path, name, collection, on_unknown, counts):
        columns.add(block)
        scores.add(block)
    if not len(columns):
        raise UserError(f"{path}: holds no scores that can be used")
    found = _write(folder, columns, scores)
    manifest = {
        "format": FORMAT,
        "file_format": name,
        "kind": "margins" if columns.width == 3 else "scores",
        "columns": scores.names,
        "counts": {**found, **counts},
        "provenance": read_provenance(path),
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def _by_ids(
    path: Path, name: str, collection: TextTables | None, on_unknown: Unknown, counts: dict[str, int]
) -> Iterator[Block]:
    """Yield a file's rows by ids, counting those left out."""
    if FORMATS[name].holds == "ids":
        yield from FORMATS[name].read(path)
        return
    if collection is None:
        raise UserError(f"{path}: carries texts ({name}); expected a collection in which to find their ids")
    texts = TextIds.of(collection)
    for block in FORMATS[name].read(path):
        resolved, unknown = texts.resolve(block)
        if len(unknown) and on_unknown == "error":
            refuse(path, int(unknown[0]), "a text of this row is not in the collection")
        counts["unknown"] += len(unknown)
        yield resolved


class _Columns:
    """The ids of all rows, as numbers of the distinct ids in their order."""

    def __init__(self) -> None:
        self.width, self._chunks = 0, list[list[pa.Array]]()

    def add(self, block: Block) -> None:
        self.width = len(block.ids)
        self._chunks.append([column.dictionary_encode() for column in block.ids])

    def __len__(self) -> int:
        return sum(len(chunk[0]) for chunk in self._chunks)

    def numbered(self) -> tuple[pa.Array, pa.Array, list[Numbers]]:
        """Return the distinct queries and documents, sorted, and the number of each row's ids among them; once only."""
        queries, query_numbers = _numbered([chunk[0] for chunk in self._chunks])
        each = [chunk[column] for column in range(1, self.width) for chunk in self._chunks]
        self._chunks.clear()  # rows may be many
        documents, document_numbers = _numbered(each)
        return queries, documents, [query_numbers, *np.split(document_numbers, self.width - 1)]


class _Scores:
    """The scores of all rows, by column."""

    def __init__(self) -> None:
        self._chunks: dict[str, list[Floats]] = {}

    def add(self, block: Block) -> None:
        for name, values in block.scores.items():
            self._chunks.setdefault(name, []).append(values)

    @property
    def names(self) -> list[str]:
        return list(self._chunks)

    def columns(self) -> dict[str, Floats]:
        return {name: np.concatenate(values) for name, values in self._chunks.items()}


def _numbered(chunks: list[pa.Array]) -> tuple[pa.Array, Numbers]:
    """Return the distinct ids of dictionary-encoded columns, sorted, and each row's place among them."""
    whole = pa.chunked_array(chunks).unify_dictionaries()
    ids = whole.chunk(0).dictionary
    require_short(ids)
    order = np.argsort(as_bytes(ids), kind="stable")
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order))
    return ids.take(pa.array(order)), np.concatenate([places[chunk.indices.to_numpy()] for chunk in whole.chunks])


@dataclass(frozen=True)
class _Grouped:
    """Rows sorted by their keys, equal ones in the order in which they came.

    Attributes:
        keys: the keys that differ, sorted
        order: the rows, by key
        first: where each key's rows begin in that order
    """

    keys: npt.NDArray[np.uint64]
    order: Integers
    first: Integers

    @classmethod
    def of(cls, keys: npt.NDArray[np.uint64]) -> "_Grouped":
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        return cls(ordered[first], order, first)

    @property
    def kept(self) -> Integers:
        """The first row of each key."""
        return self.order[self.first]

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a value of each key for each row, in sorted order."""
        return np.repeat(values, np.diff(self.first, append=len(self.order)))

    def numbers(self) -> Integers:
        """Return the number of each row's key, in the order in which the rows came."""
        found = np.empty(len(self.order), np.int64)
        found[self.order] = self.spread(np.arange(len(self.keys)))
        return found


def _write(folder: Path, columns: _Columns, scores: _Scores) -> dict[str, int]:
    """Write keys and table, each pair (or triple) once, and return the counts of rows and of those that repeat one."""
    queries, documents, numbers = columns.numbered()
    groups = [_Grouped.of(joined(numbers[0], numbers[1]))]
    for number in numbers[2:]:
        groups.append(_Grouped.of(joined(groups[-1].numbers(), number)))
    group, values = groups[-1], scores.columns()
    conflicting = np.zeros(len(group.order), bool)
    for column in values.values():
        conflicting |= column[group.order] != group.spread(column[group.kept])
    Keys(as_bytes(queries), as_bytes(documents), tuple(one.keys for one in groups)).write(folder)
    ids = [
        pa.DictionaryArray.from_arrays(pa.array(number[group.kept]), documents if place else queries)
        for place, number in enumerate(numbers)
    ]
    names = [*COLUMNS[columns.width], *values]
    batch = pa.record_batch([*ids, *(pa.array(column[group.kept]) for column in values.values())], names)
    with pa.OSFile(str(folder / TABLE), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {
        "rows": len(group.order),
        "kept": len(group.keys),
        "repeated": len(group.order) - len(group.keys),
        "conflicting": int(conflicting.sum()),
    }

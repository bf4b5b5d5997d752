"""An id -> text table in an Arrow file: memory-mapped, so that a collection may be larger than memory."""

from bisect import bisect_left
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])
# Few pieces, since opening a table reads the place of each.
ROWS = 1 << 16


SLICE = 1 << 12
"""Rows that a walk over all texts holds at a time."""


class Texts(Mapping[str, str]):
    """A read-only table of (id, text) rows, in the order they were written; and a mapping of ids to texts.

    A row out of range is an IndexError (negative numbers too), an unknown id a KeyError.
    """

    # Two tables are equal where they are one: comparing texts would read all of them.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with pa.ipc.open_file(pa.memory_map(str(self.path))) as reader:
            self._batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        self._ids = [batch.column(0) for batch in self._batches]
        self._texts = [batch.column(1) for batch in self._batches]
        # Every batch but the last has the same number of rows (`write_texts`), so a row is found by division.
        self._rows = len(self._batches[0]) if self._batches else ROWS
        self._length = sum(len(batch) for batch in self._batches)

    @classmethod
    def open(cls, path: Path | str) -> "Texts":
        """Map the table that `write_texts` left at a path."""
        return cls(path)

    def __reduce__(self) -> tuple[Callable[[Path], "Texts"], tuple[Path]]:
        return Texts, (self.path,)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, id: str) -> str:
        return self.text(self.index(id))

    def __iter__(self) -> Iterator[str]:
        return (id for ids, _ in self.batches(SLICE) for id in ids)

    def items(self) -> ItemsView[str, str]:
        """Return ids with their texts, read as they are walked over."""
        return _Items(self)

    def values(self) -> ValuesView[str]:
        """Return the texts, read as they are walked over."""
        return _Values(self)

    def id(self, i: int) -> str:
        """Return the id of row i."""
        return self._cell(self._ids, i)

    def text(self, i: int) -> str:
        """Return the text of row i."""
        return self._cell(self._texts, i)

    def ids(self, indices: Iterable[int]) -> list[str]:
        """Return the ids of some rows."""
        return [self._cell(self._ids, i) for i in indices]

    def texts(self, indices: Iterable[int]) -> list[str]:
        """Return the texts of some rows."""
        return [self._cell(self._texts, i) for i in indices]

    def index(self, id: str) -> int:
        """Return the row of an id; raises KeyError for an unknown one."""
        order = self.order
        place = bisect_left(order, id, key=self.id)
        if place == len(order) or self.id(order[place]) != id:
            raise KeyError(id)
        return int(order[place])

    def find(self, ids: "Sequence[str] | pa.Array") -> NDArray[np.int64]:
        """Return the rows of many ids at once, -1 for an unknown one."""
        values = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())
        rows = pc.index_in(values, value_set=self._id_column())
        return np.asarray(pc.fill_null(rows, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The rows sorted by id (by code point, which is also the order of the UTF-8 bytes)."""
        return np.asarray(pc.sort_indices(self._id_column()).to_numpy(), dtype=np.int64)

    def repeats(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows whose id an earlier row has, in the order of the table, and the first row of that id."""
        order = self.order
        if not len(order):
            return order, order
        ids = self._id_column().take(pa.array(order))
        same = np.asarray(pc.equal(ids[1:], ids[:-1]).to_numpy(), dtype=bool)
        if not same.any():
            return np.empty(0, np.int64), np.empty(0, np.int64)
        # Equal ids lie together, in the order of the table.
        heads = np.concatenate([[True], ~same])
        first = order[np.flatnonzero(heads)[np.cumsum(heads) - 1]]
        later, firsts = order[~heads], first[~heads]
        place = np.argsort(later, kind="stable")
        return later[place], firsts[place]

    def empty(self) -> NDArray[np.int64]:
        """Return the rows whose text is empty."""
        lengths = [pc.binary_length(column).to_numpy() for column in self._texts]
        return np.flatnonzero(np.concatenate(lengths) == 0) if lengths else np.empty(0, np.int64)

    def batches(self, size: int) -> Iterator[tuple[list[str], list[str]]]:
        """Yield (ids, texts) of consecutive rows, at most `size` at a time."""
        for batch in self._batches:
            for start in range(0, len(batch), size):
                part = batch.slice(start, size)
                yield part.column(0).to_pylist(), part.column(1).to_pylist()

    def id_columns(self) -> list[pa.StringArray]:
        """Return the ids, in the pieces in which they were written."""
        return self._ids

    def _id_column(self) -> pa.ChunkedArray:
        return pa.chunked_array(self._ids, type=pa.string())

    def _cell(self, columns: list[pa.StringArray], i: int) -> str:
        if not 0 <= i < self._length:
            raise IndexError(f"row {i} of {self._length}")
        batch, row = divmod(int(i), self._rows)
        return str(columns[batch][row])


class _Items(ItemsView[str, str]):
    """Walks over a table in its order, without looking each id up."""

    _mapping: Texts

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (row for ids, texts in self._mapping.batches(SLICE) for row in zip(ids, texts, strict=True))


class _Values(ValuesView[str]):
    """The same for texts alone."""

    _mapping: Texts

    def __iter__(self) -> Iterator[str]:
        return (text for _, texts in self._mapping.batches(SLICE) for text in texts)


def write_texts(path: Path, rows: Iterable[tuple[str, str]], seen: Callable[[bytes], object] | None = None) -> int:
    """Stream rows into a new table and return their number; `seen` is fed every row's bytes, for hashing."""
    count, rows = 0, iter(rows)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        while batch := list(islice(rows, ROWS)):
            if seen is not None:
                # Lengths first: no two different tables have the same bytes.
                seen("".join(f"{len(id)}:{id}{len(text)}:{text}" for id, text in batch).encode())
            writer.write_batch(pa.record_batch(list(zip(*batch, strict=True)), schema=SCHEMA))
            count += len(batch)
    return count

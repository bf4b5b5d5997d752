"""Indexes that map ids or texts to the row numbers of a table, many at once."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.arrays import Integers
from distilkit.data.texts import Texts

BATCH = 4096
# A table of all numbers up to the largest id is made where at least one number in so many is an id.
SPREAD = 8


class TextTables(Protocol):
    """A collection, or anything else that has tables of queries and passages."""

    @property
    def queries(self) -> Texts: ...
    @property
    def passages(self) -> Texts: ...


class IdIndex:
    """Maps ids to rows: by number where all ids are numbers that lie close together, as MS MARCO's do."""

    def __init__(self, table: Texts) -> None:
        self._table, self._rows = table, _dense(table)

    def find(self, ids: pa.Array) -> Integers:
        """Return each id's row, -1 for one that is not there."""
        numbers = None if self._rows is None else _numbers(ids)
        if self._rows is None or numbers is None:
            return self._table.find(ids)
        known = (numbers >= 0) & (numbers < len(self._rows))
        return np.where(known, self._rows[np.where(known, numbers, 0)], -1).astype(np.int64)


class Found(NamedTuple):
    """The rows of a table that hold some texts: those of text i are ``rows[starts[i] : starts[i] + counts[i]]``."""

    rows: Integers
    starts: Integers
    counts: Integers


class TextIndex:
    """Maps exact texts to rows; a text that a table holds more than once has several rows."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        hashes = (_hash(text) for _, batch in texts.batches(BATCH) for text in batch)
        keys = np.fromiter(hashes, np.uint64, len(texts))
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find_all(self, wanted: Sequence[str]) -> Found:
        """Return all rows of texts."""
        keys = np.array([_hash(text) for text in wanted], np.uint64)
        firsts, ends = np.searchsorted(self._keys, keys), np.searchsorted(self._keys, keys, side="right")
        rows: list[int] = []
        starts, counts = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int64)
        for place, (text, first, end) in enumerate(zip(wanted, firsts, ends, strict=True)):
            # Equal hashes are no proof of equal texts.
            same = [int(row) for row in self._order[first:end] if self.texts.text(int(row)) == text]
            starts[place], counts[place] = len(rows), len(same)
            rows += same
        return Found(np.array(rows, np.int64), starts, counts)

    def find(self, texts: pa.Array) -> Integers:
        """Return the first row of each text, -1 for one that is not there."""
        encoded = texts.dictionary_encode()
        found = self.find_all(encoded.dictionary.to_pylist())
        rows = np.full(len(found.counts), -1, np.int64)
        there = found.counts > 0
        rows[there] = found.rows[found.starts[there]]
        each: Integers = rows[encoded.indices.to_numpy()]
        return each


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _dense(table: Texts) -> npt.NDArray[np.int32] | None:
    """Return the row of each number, -1 for one that is not an id; None where ids are not numbers, or too far apart."""
    parts = []
    for column in table.id_columns():
        numbers = _numbers(column)
        if numbers is None:
            return None
        parts.append(numbers)
    every = np.concatenate(parts)
    if every.min() < 0 or every.max() >= SPREAD * len(every):
        return None
    rows = np.full(int(every.max()) + 1, -1, np.int32)
    rows[every] = np.arange(len(every))
    return rows


def _numbers(ids: pa.Array) -> Integers | None:
    """Return ids as the numbers that they are, None where one is not a number as it is written (007 is not)."""
    try:
        numbers = pc.cast(ids, pa.int64())
    except pa.ArrowInvalid:
        return None
    if not pc.all(pc.equal(pc.cast(numbers, pa.string()), ids)).as_py():
        return None
    found: Integers = numbers.to_numpy(zero_copy_only=False)
    return found

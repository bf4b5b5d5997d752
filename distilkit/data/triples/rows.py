"""The rows of a table that ids or texts stand in, for many of them again and again."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.teacher_scores.text_ids import TextIndex
from distilkit.data.texts import Texts
from distilkit.data.triples.blocks import Integers

# How many numbers there may be for each id that is one of them, for a table of all of them to be worth its memory.
SPREAD = 8


class Finder(Protocol):
    """What finds the rows of a table that some values stand in."""

    def find(self, values: pa.Array) -> Integers:
        """Return each value's row, -1 for one that is not there."""
        ...


class IdRows:
    """Finds rows by id: by number where all ids are numbers that lie close together, as MS MARCO's do."""

    def __init__(self, table: Texts) -> None:
        self._table, self._rows = table, _dense(table)

    def find(self, values: pa.Array) -> Integers:
        """Return each id's row, -1 for one that is not there."""
        numbers = None if self._rows is None else _numbers(values)
        if self._rows is None or numbers is None:
            return self._table.find(values)
        known = (numbers >= 0) & (numbers < len(self._rows))
        return np.where(known, self._rows[np.where(known, numbers, 0)], -1).astype(np.int64)


class TextRows:
    """Finds rows by exact text; of equal texts the first."""

    def __init__(self, table: Texts) -> None:
        self._index = TextIndex(table)

    def find(self, values: pa.Array) -> Integers:
        """Return each text's row, -1 for one that is not there."""
        encoded = values.dictionary_encode()
        found = self._index.find(encoded.dictionary.to_pylist())
        rows = np.full(len(found.counts), -1, np.int64)
        there = found.counts > 0
        rows[there] = found.rows[found.starts[there]]
        each: Integers = rows[encoded.indices.to_numpy()]
        return each


def _dense(table: Texts) -> npt.NDArray[np.int32] | None:
    """Return the row of each number, -1 for one that is no id; None where ids are no numbers, or too far apart."""
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

"""An index of rows by two or three ids at once: sorted 64-bit keys in memory-mapped arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.arrays import Integers
from distilkit.errors import UserError

Ids: TypeAlias = "Sequence[str] | pa.Array | pa.ChunkedArray"
Names = npt.NDArray[np.bytes_]

LONGEST = 512
QUERIES, DOCUMENTS = "queries.npy", "documents.npy"


@dataclass(frozen=True)
class Keys:
    """The distinct ids, sorted, and a table of keys for each column of documents.

    A key is what the columns before came to (a query's number, or the row of an earlier key) above a document's number,
    32 bits each. The last table's rows are the rows of the scores.
    """

    queries: Names
    documents: Names
    tables: tuple[npt.NDArray[np.uint64], ...]

    @classmethod
    def open(cls, folder: Path, columns: int) -> "Keys":
        """Map the arrays of a folder into memory; `columns` is the number of columns of documents."""
        names = [QUERIES, DOCUMENTS, *(_table(number) for number in range(columns))]
        queries, documents, *tables = (np.load(folder / name, mmap_mode="r") for name in names)
        return cls(queries, documents, tuple(tables))

    def write(self, folder: Path) -> None:
        """Write the arrays into a folder."""
        np.save(folder / QUERIES, self.queries)
        np.save(folder / DOCUMENTS, self.documents)
        for number, table in enumerate(self.tables):
            np.save(folder / _table(number), table)

    def find(self, query_ids: Ids, *doc_ids: Ids) -> Integers:
        """Return the row of each (query, document, ...), -1 where there is none."""
        rows = numbers(self.queries, query_ids)
        for table, ids in zip(self.tables, doc_ids, strict=True):
            documents = numbers(self.documents, ids)
            known = (rows >= 0) & (documents >= 0)
            wanted = joined(np.where(known, rows, 0), np.where(known, documents, 0))
            rows = np.where(known, _places(table, wanted), -1)
        return rows


def numbers(names: Names, ids: Ids) -> Integers:
    """Return the place of each id among sorted names, -1 for one that is not there."""
    array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not isinstance(array, pa.DictionaryArray):
        array = array.dictionary_encode()
    # Each distinct id is looked for once, however often it comes.
    found = _places(names, as_bytes(array.dictionary))
    places: Integers = found[array.indices.to_numpy()]
    return places


def as_bytes(ids: pa.Array) -> Names:
    """Return ids as fixed-width UTF-8, whose order is that of their code points."""
    encoded = [id.encode() for id in ids.to_pylist()]
    return np.array(encoded, f"S{max(map(len, encoded), default=1)}")


def require_short(ids: pa.Array) -> None:
    """Raise UserError for what is too long for an id, as a text in its place would be."""
    long = next((id for id in ids.to_pylist() if len(id.encode()) > LONGEST or "\0" in id), None)
    if long is not None:
        raise UserError(f"{long[:60]!r}... is not an id; expected one word of at most {LONGEST} bytes")


def joined(high: npt.NDArray[np.integer], low: npt.NDArray[np.integer]) -> npt.NDArray[np.uint64]:
    """Return 64-bit keys of two numbers below 2**32 each."""
    return (high.astype(np.uint64) << np.uint64(32)) | low.astype(np.uint64)


def _places(table: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> Integers:
    if not len(table):
        return np.full(len(wanted), -1, np.int64)
    places = np.searchsorted(table, wanted)
    places[places == len(table)] = 0
    return np.where(np.asarray(table[places]) == wanted, places, -1).astype(np.int64)


def _table(number: int) -> str:
    return f"keys{number}.npy"

"""The ids of texts that a score file carries in place of ids."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.teacher_scores.blocks import Block, Integers
from distilkit.data.texts import Texts

BATCH = 4096


class TextTables(Protocol):
    """What has queries and passages: a collection."""

    @property
    def queries(self) -> Texts: ...
    @property
    def passages(self) -> Texts: ...


class Found(NamedTuple):
    """The rows of a table that hold some texts: those of text i are ``rows[starts[i] : starts[i] + counts[i]]``."""

    rows: Integers
    starts: Integers
    counts: Integers


class TextIndex:
    """Finds the rows of a table by their exact text; texts that stand there more than once have several rows."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        hashes = (_hash(text) for _, batch in texts.batches(BATCH) for text in batch)
        keys = np.fromiter(hashes, np.uint64, len(texts))
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def find(self, wanted: Sequence[str]) -> Found:
        """Return the rows of texts."""
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


@dataclass(frozen=True)
class TextIds:
    """Puts ids in the place of the texts of queries and passages."""

    queries: TextIndex
    passages: TextIndex

    @classmethod
    def of(cls, tables: TextTables) -> "TextIds":
        """Index the texts of a collection."""
        return cls(TextIndex(tables.queries), TextIndex(tables.passages))

    def resolve(self, block: Block) -> tuple[Block, Integers]:
        """Return the rows by ids, and the places of the rows whose texts are not in the collection, which are left out.

        A row whose text has several ids becomes several rows.
        """
        unknown: list[npt.NDArray[np.int64]] = []
        for column in range(len(block.ids)):
            block, lost = self._resolve(block, column)
            unknown.append(lost)
        return block, np.unique(np.concatenate(unknown))

    def _resolve(self, block: Block, column: int) -> tuple[Block, Integers]:
        index = self.passages if column else self.queries
        encoded = block.ids[column].dictionary_encode()
        found = index.find(encoded.dictionary.to_pylist())
        texts = encoded.indices.to_numpy()
        counts = found.counts[texts]
        kept = np.repeat(np.arange(len(block)), counts)
        within = np.arange(len(kept)) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = found.rows[np.repeat(found.starts[texts], counts) + within]
        ids = [one.take(pa.array(kept)) for one in block.ids]
        ids[column] = pa.array(index.texts.ids(rows.tolist()), pa.string())
        scores = {name: values[kept] for name, values in block.scores.items()}
        return Block(block.places[kept], tuple(ids), scores), block.places[counts == 0]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")

"""Triples, memory-mapped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import mapped
from distilkit.data.triples.blocks import Integers
from distilkit.data.triples.building import FORMAT, MANIFEST, ROWS, Rows
from distilkit.errors import UserError
from distilkit.files import read_json


@dataclass(frozen=True)
class Triples:
    """Queries with a positive and a negative passage each, as rows of a collection's tables.

    Attributes:
        rows: [n, 3], mapped: the rows of query, positive and negative
        counts: triples of the file, kept ones, and unknown ones, which were left out
    """

    rows: Rows
    counts: dict[str, int]

    @classmethod
    def open(cls, folder: Path) -> "Triples":
        """Map what `write_triples` left in a folder; raises UserError for another format of it."""
        manifest = read_json(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise UserError(f"{folder}: expected triples of format {FORMAT}, got {manifest['format']}")
        return cls(mapped(folder / ROWS), manifest["counts"])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def queries(self) -> Rows:
        """The query of each pair, [n, 2]: a view that takes no memory."""
        return np.broadcast_to(self.rows[:, :1], (len(self), 2))

    @property
    def passages(self) -> Rows:
        """Positive and negative, [n, 2]: a view that takes no memory."""
        return self.rows[:, 1:]

    @property
    def labels(self) -> Integers:
        """1 and 0 for each triple, [n, 2]: a view that takes no memory."""
        return np.broadcast_to(np.array([[1, 0]]), (len(self), 2))

    def batch(self, indices: npt.NDArray[np.integer] | slice) -> tuple[Integers, Integers]:
        """Return the queries and the passages of some triples, [n, 2] each, the positive first."""
        rows = self.rows[indices].astype(np.int64)
        return np.repeat(rows[:, :1], 2, axis=1), rows[:, 1:]

"""Sequences of plain text as pairs of texts, the second of which continues the first in half of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers

# Keeps these draws apart from those that other parts of a run make with the same seed.
STREAM = 12
# How many neighbours in the order of lengths are looked at for one of another document.
NEAR = 16

Rows = npt.NDArray[np.int32]


@dataclass(frozen=True)
class TextPairs:
    """The pair of texts A and B that is made of each sequence, for next sentence prediction (Devlin et al. 2019).

    A is the beginning of the sequence, to a place that is drawn. B continues it in half of the pairs; in the others it
    is the end of a sequence of another document. Lengths are the same in both cases, and the other sequence is about
    as long, so that only the words of A and B tell the two cases apart.

    Attributes:
        first: how many tokens A has, [n]
        owners: the sequence that B is taken from, which is A's own where B continues A, [n]
        starts: how many tokens of that sequence come before B, [n]
        second: how many tokens B has, [n]
    """

    first: Rows
    owners: Rows
    starts: Rows
    second: Rows

    @classmethod
    def draw(cls, lengths: Integers, documents: Integers, seed: int) -> Self:
        """Draw the pairs of all sequences by a seed.

        `lengths` are the sequences' tokens and `documents` the numbers of their documents in ascending order, both
        [n]; there are two documents or more.
        """
        rng = np.random.default_rng([seed, STREAM])
        rows = np.arange(len(lengths))
        first = np.minimum(1 + (rng.random(len(rows)) * np.maximum(lengths - 1, 0)).astype(np.int64), lengths)
        continues = rng.random(len(rows)) < 0.5
        others = _of_other_documents(lengths, documents, rng)
        second = np.minimum(lengths - first, lengths[others])
        starts = np.where(continues, first, lengths[others] - second)
        return cls(*(part.astype(np.int32) for part in (first, np.where(continues, rows, others), starts, second)))

    @property
    def continues(self) -> Integers:
        """1 for the pairs whose second text continues the first and 0 for the others, [n]."""
        found: Integers = (self.owners == np.arange(len(self.owners))).astype(np.int64)
        return found


def _of_other_documents(lengths: Integers, documents: Integers, rng: np.random.Generator) -> Integers:
    """Return for each sequence another document's, which is about as long where there is such a one."""
    count = len(lengths)
    # Sequences of a document lie beside each other, so that those before and behind are all others.
    begin, end = (np.searchsorted(documents, documents, side) for side in ("left", "right"))
    drawn = (rng.random(count) * (count - end + begin)).astype(np.int64)
    others = np.where(drawn < begin, drawn, drawn + end - begin)
    # In the order of lengths the next ones are no shorter; those of one length are in a random order.
    order = np.lexsort((rng.random(count), lengths))
    place = np.empty_like(order)
    place[order] = np.arange(count)
    left = np.arange(count)
    for step in range(1, NEAR + 1):
        places = np.where(place[left] + step < count, place[left] + step, place[left] - step)
        near = order[np.maximum(places, 0)]
        found = documents[near] != documents[left]
        others[left[found]] = near[found]
        left = left[~found]
    return others

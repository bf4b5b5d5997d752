"""The first stage's candidates of a set of queries, as arrays."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.data.collection import Collection, Run
from distilkit.data.judgements import in_order


@dataclass(frozen=True)
class Candidates:
    """Each query's passages, best first: indices into the collection, -1 where a query has fewer than the depth.

    queries [n], passages [n, depth], scores [n, depth].
    """

    queries: Integers
    passages: Integers
    scores: npt.NDArray[np.float64]

    @classmethod
    def open(cls, folder: Path) -> "Candidates":
        """Map the arrays of a folder into memory."""
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("queries", "passages", "scores")))

    @classmethod
    def of_run(
        cls, collection: Collection, run: Run, query_ids: Sequence[str], depth: int, own: Integers | None = None
    ) -> "Candidates":
        """Take the first `depth` of a run for each query, by score descending, then document id descending.

        `own` holds the passage that each query is itself, -1 for none; it is left out.
        """
        passages = np.full((len(query_ids), depth), -1, np.int64)
        scores = np.zeros((len(query_ids), depth))
        for row, query in enumerate(query_ids):
            self_id = None if own is None or own[row] < 0 else collection.passages.id(int(own[row]))
            ranked = in_order([one for one in run.get(query, []) if one[0] != self_id])[:depth]
            passages[row, : len(ranked)] = [collection.passages.index(passage) for passage, _ in ranked]
            scores[row, : len(ranked)] = [score for _, score in ranked]
        queries = np.array([collection.queries.index(query) for query in query_ids], np.int64)
        return cls(queries, passages, scores)

    def without(self, own: Integers) -> "Candidates":
        """Return the candidates without the passage that each query is itself, [n], and one column less."""
        hit = (self.passages == own[:, None]) & (own[:, None] >= 0)
        # What is left moves up; a query that has not found itself loses its last candidate.
        order = np.argsort(hit, axis=1, kind="stable")[:, :-1]
        passages = np.take_along_axis(self.passages, order, axis=1)
        return Candidates(self.queries, passages, np.take_along_axis(self.scores, order, axis=1))

    def write(self, folder: Path) -> None:
        """Write the arrays into a folder."""
        for name in ("queries", "passages", "scores"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    def content_hash(self) -> str:
        """Return the sha256 of which passages each query has, by their rows in the collection and in their order."""
        digest = hashlib.sha256()
        for rows in (self.queries, self.passages):
            digest.update(np.ascontiguousarray(rows, np.int64).data)
        return digest.hexdigest()

    def pairs(self) -> tuple[Integers, Integers]:
        """Return all (query, passage) pairs, row by row."""
        rows, columns = np.nonzero(self.passages >= 0)
        return self.queries[rows], self.passages[rows, columns]

    def run(self, collection: Collection, scores: npt.NDArray[np.float64] | None = None) -> Run:
        """Return the candidates as a run of ids, with their own scores or those of `pairs()`, in the same order."""
        rows, columns = np.nonzero(self.passages >= 0)
        values = self.scores[rows, columns] if scores is None else scores
        queries = collection.queries.ids(self.queries[rows])
        passages = collection.passages.ids(self.passages[rows, columns])
        run: Run = {}
        for query, passage, value in zip(queries, passages, values, strict=True):
            run.setdefault(query, []).append((passage, float(value)))
        return run


def fused(members: Sequence[Candidates], depth: int, constant: int = 60) -> Candidates:
    """Return the candidates of several first stages of the same queries, fused by reciprocal rank.

    A passage's score is the sum of 1 / (constant + rank) over the members that have it; equal sums are in the order of
    the collection's rows.
    """
    count = len(members[0].queries)
    passages, scores = np.full((count, depth), -1, np.int64), np.zeros((count, depth))
    for row in range(count):
        found = np.concatenate([one.passages[row][one.passages[row] >= 0] for one in members])
        gains = np.concatenate([1 / (constant + 1.0 + np.arange((one.passages[row] >= 0).sum())) for one in members])
        distinct, places = np.unique(found, return_inverse=True)
        sums = np.bincount(places, gains, len(distinct)) if len(distinct) else np.zeros(0)
        best = np.argsort(-sums, kind="stable")[:depth]
        passages[row, : len(best)], scores[row, : len(best)] = distinct[best], sums[best]
    return Candidates(members[0].queries, passages, scores)

"""A stage's examples as arrays, and what turns them into batches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from distilkit.data.examples import Lists
from distilkit.strategies.terms import Examples

Integers = npt.NDArray[np.int64]


class Tokens(Protocol):
    """What turns examples into padded batches: pairs in one sequence, queries and passages apart, or plain text."""

    @property
    def max_length(self) -> int:
        """The most tokens that an example has."""
        ...

    def lengths(self, queries: Integers, passages: Integers) -> Integers:
        """Return the tokens of each example."""
        ...

    @property
    def batch(self) -> Callable[..., dict[str, Any]]:
        """What returns the columns of a padded batch, `batch(queries, passages)`, and takes `pad_to` where the stage
        reads internals."""
        ...


@dataclass(frozen=True)
class TrainingSet:
    """A stage's examples as arrays: queries, passages and labels, each [n, ways]; ways is 1 for pairs and for texts.

    `targets` [n, ways] are the teacher's scores, where they were computed ahead.
    """

    queries: Integers
    passages: Integers
    labels: Integers
    targets: npt.NDArray[np.float32] | None = None

    @classmethod
    def of_lists(cls, lists: Lists, examples: Examples) -> "TrainingSet":
        """Take lists as they are, each positive with each of its negatives, or each passage as an example."""
        passages = lists.passages
        if examples == "triples":
            negatives = passages[:, 1:].reshape(-1, 1)
            passages = np.concatenate([np.repeat(passages[:, :1], passages.shape[1] - 1, axis=0), negatives], axis=1)
        queries = np.repeat(lists.queries, len(passages) // max(1, len(lists)))[:, None]
        queries = np.repeat(queries, passages.shape[1], axis=1)
        labels = np.zeros_like(passages)
        labels[:, 0] = 1
        shape = (-1, 1) if examples == "pairs" else passages.shape
        return cls(queries.reshape(shape), passages.reshape(shape), labels.reshape(shape))

    @classmethod
    def of_texts(cls, count: int) -> "TrainingSet":
        """Take texts by their number."""
        zeros = np.zeros((count, 1), np.int64)
        return cls(zeros, np.arange(count)[:, None], zeros)

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def ways(self) -> int:
        """The length of a list, 1 for pairs and texts."""
        return int(self.queries.shape[1])

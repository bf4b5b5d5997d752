"""The order of training examples: every epoch sees each once, in batches of like length, by seed and step alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
import numpy.typing as npt

from distilkit.data.arrays import Integers
from distilkit.settings import TrainSettings

# Batches whose examples are sorted by length together; within them the batches are shuffled again.
BLOCK = 50

# What a forward and backward pass takes however few tokens it has, in tokens of a small student on a processor.
PASS_COST = 32


class Lengths(Protocol):
    """The lengths of examples, [n] or [n, ways]: an array, or what counts them when it is asked."""

    def __len__(self) -> int: ...
    def __getitem__(self, examples: Integers, /) -> Integers: ...


class CountsTokens(Protocol):
    """Tokens that can be counted pair by pair."""

    def lengths(self, queries: Integers, passages: Integers) -> Integers: ...


class Batches(Protocol):
    """The examples of each step of an epoch."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Integers: ...


class Order(Protocol):
    """Which examples each step trains on, epoch by epoch: by lengths, or by topics."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        ...

    def epoch(self, number: int) -> Batches:
        """Return the batches of an epoch."""
        ...


@dataclass(frozen=True)
class PairLengths:
    """The tokens of each pair of examples, [n, ways], counted when they are asked for: examples may be many."""

    tokens: CountsTokens
    queries: npt.NDArray[np.integer]
    passages: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.queries)

    def __getitem__(self, examples: Integers, /) -> Integers:
        queries, passages = (rows[examples].astype(np.int64, copy=False) for rows in (self.queries, self.passages))
        return self.tokens.lengths(queries.ravel(), passages.ravel()).reshape(queries.shape)


@dataclass(frozen=True)
class Schedule:
    """Which examples each step trains on: a pure function of lengths, batch size, seed and step, so that a resumed
    run goes on exactly where it stopped. An example of several ways is as long as the longest of them."""

    lengths: Lengths
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the examples."""
        return math.ceil(len(self.lengths) / self.batch_size)

    def epoch(self, number: int) -> Sequence[Integers]:
        """Return the batches of one epoch: shuffled, cut into large blocks, sorted by length inside each block.

        A block is sorted, and its lengths are read, when a batch of it is asked for.
        """
        rng = np.random.default_rng([self.seed, 3, number])
        # Half the memory, and the same order as of 64 bits.
        order = np.arange(len(self.lengths), dtype=np.uint32)
        rng.shuffle(order)
        full, last = divmod(self.steps_per_epoch, BLOCK)
        blocks = [BLOCK] * full + [last]
        places = np.concatenate([rng.permutation(count).astype(np.uint8) for count in blocks])
        return _Epoch(self.lengths, self.batch_size, order, places)


class _Epoch(Sequence[Integers]):
    """The batches of an epoch; only its order, and the block that was last asked for, are in memory."""

    def __init__(
        self, lengths: Lengths, batch_size: int, order: npt.NDArray[np.uint32], places: npt.NDArray[np.uint8]
    ) -> None:
        self._lengths, self._batch_size, self._order, self._places = lengths, batch_size, order, places
        self._block: tuple[int, Integers] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Integers: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Integers]: ...
    def __getitem__(self, index: int | slice) -> Integers | Sequence[Integers]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        block = self._sorted(index % len(self) // BLOCK)
        at = int(self._places[index]) * self._batch_size
        return block[at : at + self._batch_size]

    def _sorted(self, number: int) -> Integers:
        if self._block[0] != number:
            span = self._batch_size * BLOCK
            block = self._order[number * span : (number + 1) * span].astype(np.int64)
            lengths = np.asarray(self._lengths[block]).reshape(len(block), -1).max(axis=1)
            self._block = (number, block[np.argsort(lengths, kind="stable")])
        return self._block[1]


def total_steps(examples: int, batch_size: int, train: TrainSettings) -> int:
    """Return the optimiser steps of a training: its max_steps, else whole epochs of its examples."""
    return train.max_steps or math.ceil(math.ceil(examples / batch_size) * train.num_train_epochs)


def length_buckets(lengths: Integers, pass_cost: int = PASS_COST) -> list[Integers]:
    """Cut pairs into groups of like length, the longest first, so that padded tokens and forward passes cost the least.

    A forward pass is counted as `pass_cost` tokens: what it takes however small it is.
    """
    order = np.argsort(-lengths, kind="stable")
    longest = lengths[order].astype(np.int64)
    # least[end] is the cost of the first `end` pairs; first[end] is where their last group starts.
    least, first = np.zeros(len(order) + 1, np.int64), np.zeros(len(order) + 1, np.int64)
    starts = np.arange(len(order))
    for end in range(1, len(order) + 1):
        costs = least[:end] + longest[:end] * (end - starts[:end])
        first[end] = costs.argmin()
        least[end] = costs[first[end]] + pass_cost
    groups: list[Integers] = []
    end = len(order)
    while end:
        groups.append(order[first[end] : end])
        end = int(first[end])
    return groups[::-1]

"""The order of training examples: every epoch sees each once, in batches of like length, by seed and step alone."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distilkit.settings import TrainSettings

Integers = npt.NDArray[np.int64]

# Batches whose examples are sorted by length together; within them the batches are shuffled again.
BLOCK = 50


@dataclass(frozen=True)
class Schedule:
    """Which examples each step trains on: a pure function of lengths, batch size, seed and step, so that a resumed
    run goes on exactly where it stopped."""

    lengths: Integers
    batch_size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one pass over the examples."""
        return math.ceil(len(self.lengths) / self.batch_size)

    def epoch(self, number: int) -> list[Integers]:
        """Return the batches of one epoch: shuffled, cut into large blocks, sorted by length inside each block."""
        rng = np.random.default_rng([self.seed, 3, number])
        order = rng.permutation(len(self.lengths))
        span = self.batch_size * BLOCK
        batches: list[Integers] = []
        for start in range(0, len(order), span):
            block = order[start : start + span]
            block = block[np.argsort(self.lengths[block], kind="stable")]
            cut = [block[at : at + self.batch_size] for at in range(0, len(block), self.batch_size)]
            batches.extend(cut[index] for index in rng.permutation(len(cut)))
        return batches


def total_steps(examples: int, batch_size: int, train: TrainSettings) -> int:
    """Return the optimiser steps of a training: its max_steps, else whole epochs of its examples."""
    return train.max_steps or math.ceil(math.ceil(examples / batch_size) * train.num_train_epochs)


def micro_batches(lengths: Integers, waste: float = 1.15, least: int = 8) -> list[Integers]:
    """Cut pairs into groups of like length whose padding stays below `waste` times their tokens.

    No group but the last is smaller than `least`, since tiny forward passes cost more than padding does.
    """
    order = np.argsort(-lengths, kind="stable")
    groups: list[Integers] = []
    start, tokens = 0, 0
    for at, pair in enumerate(order):
        size = at - start + 1
        tokens += int(lengths[pair])
        if size > least and int(lengths[order[start]]) * size > waste * tokens:
            groups.append(order[start:at])
            start, tokens = at, int(lengths[pair])
    groups.append(order[start:])
    return groups

"""What an optimiser step trains on, as a function of the step alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.batches import PairLengths, Schedule, micro_batches
from distilkit.data.side_tokens import SideTokens
from distilkit.models.batch import Batch, TokenBatch, batch_of, pinned
from distilkit.packed.batch import Packed, pack
from distilkit.strategies.stage import Stage
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import MicroBatch
from distilkit.training.parts import parts_of_examples, parts_of_tokens
from distilkit.training.training_set import Tokens, TrainingSet

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """A step's micro-batches in one process, those of each part, and the counts of the whole batch.

    `own` is False where the batch has no example for the process, which then reads another's, for nothing.
    """

    counts: Counts
    parts: list[list[MicroBatch]]
    own: bool = True


@dataclass
class Supply:
    """Makes the material of any step of a stage, in the memory of the CPU.

    A step's material depends on the step alone, draws no random numbers and waits for no other process. One thread at a
    time may ask for it, since the order of the last epoch is kept.

    `rank` of `processes` shares the batch. `packed` leaves padding out; `token_budget` cuts the share by tokens, 0 into
    parts of per_device_train_batch_size; `pin` puts it where a GPU copies it from by itself.
    """

    stage: Stage
    examples: TrainingSet
    tokens: Tokens
    teacher_tokens: Tokens | None
    rank: int = 0
    processes: int = 1
    packed: bool = False
    token_budget: int = 0
    pin: bool = False

    def __post_init__(self) -> None:
        self.batch_size = self.stage.train.batch_size(self.processes)
        self._lengths = PairLengths(self.tokens, self.examples.queries, self.examples.passages)
        self._schedule = Schedule(self._lengths, self.batch_size, self.stage.seed)
        self._epoch = -1
        self._batches: Sequence[Integers] = ()

    def __call__(self, step: int) -> Material:
        """Return the material of a step."""
        batch = self._batch(step)
        mine = batch[self.rank :: self.processes]
        # A process without an example of its own still takes part; its losses count for nothing.
        parts = [mine[part] for part in self._parts(mine)] if len(mine) else [batch[:1]]
        made = [[self._finished(one) for one in self._micro_batches(part)] for part in parts]
        return Material(self._counts(batch), made, len(mine) > 0)

    def _batch(self, step: int) -> Integers:
        epoch, index = divmod(step, self._schedule.steps_per_epoch)
        if self._epoch != epoch:
            self._epoch, self._batches = epoch, self._schedule.epoch(epoch)
        return self._batches[index]

    def _counts(self, batch: Integers) -> Counts:
        lengths = self._lengths[batch]
        chosen = 0
        if self.stage.reads("masked_lm"):
            chosen = int(self.tokens.chosen_counts(self.examples.passages[batch].ravel()).sum())  # type: ignore[attr-defined]
        return Counts(lengths.size, len(batch), int(lengths.sum()), int((lengths**2).sum()), chosen)

    @property
    def _by_tokens(self) -> bool:
        return self.token_budget > 0 and not self.stage.counts_padding

    def _parts(self, mine: Integers) -> list[slice]:
        """Cut this process's share of a batch into passes forward and backward."""
        if self._by_tokens:
            return parts_of_tokens(self._lengths[mine], self.token_budget, self.packed)
        return parts_of_examples(len(mine), self.stage.train.per_device_train_batch_size)

    def _micro_batches(self, part: Integers) -> list[MicroBatch]:
        queries, passages = self.examples.queries[part].ravel(), self.examples.passages[part].ravel()
        labels, lengths = self.examples.labels[part].ravel(), self._lengths[part].ravel()
        targets = None if self.examples.targets is None else self.examples.targets[part].ravel()
        if self._grouped:
            return [self._beside(queries, passages, labels, targets)]
        whole = self.stage.counts_padding or self.packed or self._by_tokens
        padding = {"pad_to": self.tokens.max_length} if self.stage.counts_padding else {}
        batches = []
        for group in [np.arange(len(queries))] if whole else micro_batches(lengths):
            columns = self.tokens.batch(queries[group], passages[group], **padding)
            chosen = columns.pop("chosen", None)
            tokens = batch_of(columns)
            batches.append(
                MicroBatch(
                    self._as_read(tokens),
                    torch.from_numpy(labels[group]),
                    torch.from_numpy(group),
                    None if targets is None else torch.from_numpy(targets[group]),
                    None if chosen is None else self._chosen(torch.from_numpy(chosen), tokens),
                    self._as_the_teacher_reads(queries[group], passages[group]),
                )
            )
        return batches

    @property
    def _grouped(self) -> bool:
        """Whether documents are encoded in groups of like length, beside queries that are encoded once.

        A teacher that takes part reads whole pairs, in groups of their own length.
        """
        return isinstance(self.tokens, SideTokens) and self.teacher_tokens is None and not self._by_tokens

    def _beside(
        self, queries: Integers, passages: Integers, labels: Integers, targets: npt.NDArray[np.float32] | None
    ) -> MicroBatch:
        """Return all pairs of a part as one micro-batch of groups."""
        tokens = cast(SideTokens, self.tokens)
        groups = micro_batches(tokens.documents.lengths(passages))
        order = np.concatenate(groups)
        return MicroBatch(
            batch_of(tokens.grouped(queries, passages, groups)),
            torch.from_numpy(labels[order]),
            torch.from_numpy(order),
            None if targets is None else torch.from_numpy(targets[order]),
        )

    def _as_read(self, tokens: Batch) -> Batch | Packed:
        """Return a batch without its padding where that is how this stage is trained."""
        return Packed.of(cast(TokenBatch, tokens)) if self.packed else tokens

    def _chosen(self, chosen: torch.Tensor, tokens: Batch) -> torch.Tensor:
        """Return which words are predicted; without padding all tokens are one row."""
        return pack(chosen, cast(TokenBatch, tokens).attention_mask)[None] if self.packed else chosen

    def _as_the_teacher_reads(self, queries: Integers, passages: Integers) -> Batch | Packed | None:
        """Return pairs in the teacher's form where that is another than the student's."""
        if self.teacher_tokens is None:
            return None
        return self._as_read(batch_of(self.teacher_tokens.batch(queries, passages)))

    def _finished(self, batch: MicroBatch) -> MicroBatch:
        return pinned(batch) if self.pin else batch

"""The batch of an optimiser step, as a function of the step alone: its examples, how they are cut, their tokens."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distilkit.data.arrays import Integers
from distilkit.data.batches import Batches, Order, PairLengths, Schedule, length_buckets
from distilkit.data.examples import Lists
from distilkit.data.internals import Internals
from distilkit.data.side_tokens import SideTokens
from distilkit.data.topics import TopicGroups, TopicSchedule
from distilkit.models.batch import Batch, TokenBatch, batch_of, pinned
from distilkit.packed.batch import Packed, pack
from distilkit.strategies.stage import Stage
from distilkit.strategies.term_inputs import Counts, Outputs
from distilkit.strategies.terms import Examples

T = TypeVar("T")

# Tokens of a forward and backward pass on a GPU: many, so that it is filled, yet of bounded memory. Unmeasured so far.
TOKEN_BUDGET = 16_384
# Where memory runs out passes become smaller, to this many tokens: less than one long pair has.
LEAST_TOKENS = 64

PREFETCH_THREAD = "distilkit-prefetch"


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

    `targets` [n, ways] are the teacher's scores, where they were computed ahead; with `groups` a batch is of one topic.
    """

    queries: Integers
    passages: Integers
    labels: Integers
    targets: npt.NDArray[np.float32] | None = None
    groups: TopicGroups | None = None

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
    def of_texts(cls, labels: Integers) -> "TrainingSet":
        """Take as many texts as there are labels, [n]: 1 for pairs whose second text continues the first."""
        return cls(np.zeros((len(labels), 1), np.int64), np.arange(len(labels))[:, None], labels[:, None])

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def ways(self) -> int:
        """The length of a list, 1 for pairs and texts."""
        return int(self.queries.shape[1])


@dataclass(frozen=True)
class LengthBucket:
    """Pairs of like length, padded, or of any length, without padding: what one forward pass reads.

    tokens [b, L] (without padding a single row, [1, T]), labels [b], their places [b] among the pairs of the
    micro-batch; where teacher scores were computed ahead, those [b]; where words are masked, which positions [b, L] are
    predicted; where the teacher reads another form than the student, the pairs in that form; where a loss compares the
    whole batch, the rows of the pairs' texts in the collection [b, 2]; where the teacher's internals were computed
    ahead, its outputs.
    """

    tokens: Batch | Packed
    labels: Tensor
    places: Tensor
    targets: Tensor | None = None
    chosen: Tensor | None = None
    teacher_tokens: Batch | Packed | None = None
    rows: Tensor | None = None
    taught: Outputs | None = None


@dataclass(frozen=True)
class StepBatch:
    """What one process trains on in an optimiser step, and the counts of the whole effective batch.

    Each micro-batch is one pass forward and backward, over its length buckets. `own` is False where the batch has no
    example for the process, which then reads another's, for nothing.
    """

    counts: Counts
    micro_batches: list[list[LengthBucket]]
    own: bool = True


@dataclass
class StepLoader:
    """Makes the batch of any step of a stage, in the memory of the CPU.

    A batch depends on the step alone; making it draws no random numbers and waits for no other process. One thread at a
    time may ask for one, since the order of the last epoch is kept.

    `rank` of `processes` shares the batch. `packed` leaves padding out; `token_budget` cuts the share by tokens, 0 into
    micro-batches of per_device_train_batch_size; `pin` puts it where a GPU copies it from by itself.
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
    internals: Internals | None = None

    def __post_init__(self) -> None:
        self.batch_size = self.stage.train.batch_size(self.processes)
        self._lengths = PairLengths(self.tokens, self.examples.queries, self.examples.passages)
        how, groups = (self.batch_size, self.stage.seed), self.examples.groups
        self._schedule: Order = Schedule(self._lengths, *how) if groups is None else TopicSchedule(groups, *how)
        self._budget, self._size = self.token_budget, self.stage.train.per_device_train_batch_size
        self._epoch = -1
        self._batches: Batches = []

    def __call__(self, step: int) -> StepBatch:
        """Return the batch of a step."""
        batch = self._examples_of(step)
        mine = batch[self.rank :: self.processes]
        # A process without an example of its own still takes part; its losses count for nothing.
        cut = [mine[part] for part in self._micro_batches(mine)] if len(mine) else [batch[:1]]
        buckets = [[pinned(one) if self.pin else one for one in self._buckets(part)] for part in cut]
        return StepBatch(self._counts(batch), buckets, len(mine) > 0)

    def _examples_of(self, step: int) -> Integers:
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

    def _micro_batches(self, mine: Integers) -> list[slice]:
        """Cut this process's share of a batch into passes forward and backward."""
        if self._by_tokens:
            return micro_batches_of_tokens(self._lengths[mine], self._budget, self.packed)
        return micro_batches_of_examples(len(mine), self._size)

    def shrink(self) -> bool:
        """Halve the micro-batches from now on, which changes no effective batch; return whether they could be."""
        left = self._budget // 2 if self._by_tokens else self._size // 2
        if left < (LEAST_TOKENS if self._by_tokens else 1):
            return False
        if self._by_tokens:
            self._budget = left
        else:
            self._size = left
        return True

    @property
    def micro_batch(self) -> str:
        """How much of a batch one pass forward and backward reads at most."""
        return f"{self._budget} tokens" if self._by_tokens else f"{self._size} examples"

    def _buckets(self, part: Integers) -> list[LengthBucket]:
        """Return the forward passes of a micro-batch."""
        queries, passages = self.examples.queries[part].ravel(), self.examples.passages[part].ravel()
        labels, lengths = self.examples.labels[part].ravel(), self._lengths[part].ravel()
        targets = None if self.examples.targets is None else self.examples.targets[part].ravel()
        # Queries are encoded once, beside documents in groups of like length. A teacher that takes part reads whole
        # pairs, in groups of their own length.
        if isinstance(self.tokens, SideTokens) and self.teacher_tokens is None and not self._by_tokens:
            groups = length_buckets(self.tokens.documents.lengths(passages))
            order = np.concatenate(groups)
            tokens = batch_of(self.tokens.grouped(queries, passages, groups))
            rows = self._rows(queries[order], passages[order])
            return [LengthBucket(tokens, *_tensors(labels, order), _taken(targets, order), rows=rows)]
        whole = self.stage.counts_padding or self.packed or self._by_tokens
        padding = {"pad_to": self.tokens.max_length} if self.stage.counts_padding else {}
        buckets = []
        for group in [np.arange(len(queries))] if whole else length_buckets(lengths):
            columns = self.tokens.batch(queries[group], passages[group], **padding)
            chosen = columns.pop("chosen", None)
            tokens = batch_of(columns)
            buckets.append(
                LengthBucket(
                    self._as_read(tokens),
                    *_tensors(labels, group),
                    _taken(targets, group),
                    None if chosen is None else self._chosen(torch.from_numpy(chosen), tokens),
                    self._as_the_teacher_reads(queries[group], passages[group]),
                    self._rows(queries[group], passages[group]),
                    self._taught(queries[group], passages[group]),
                )
            )
        return buckets

    def _rows(self, queries: Integers, passages: Integers) -> Tensor | None:
        """Return which texts some pairs are of, where a loss asks for that."""
        return torch.from_numpy(np.stack([queries, passages], axis=1)) if self.stage.reads_batch else None

    def _taught(self, queries: Integers, passages: Integers) -> Outputs | None:
        """Return what the teacher computed of some pairs before, in the type that it is kept in."""
        if self.internals is None:
            return None
        classes, *sides = self.internals.of(queries, passages)
        attentions, states = (tuple(map(torch.from_numpy, side)) for side in sides)
        return Outputs(torch.from_numpy(classes), attentions, states)

    def _as_read(self, tokens: Batch) -> Batch | Packed:
        """Return a batch without its padding where that is how this stage is trained."""
        if not self.packed:
            return tokens
        assert isinstance(tokens, TokenBatch)
        return Packed.of(tokens)

    def _chosen(self, chosen: Tensor, tokens: Batch) -> Tensor:
        """Return which words are predicted; without padding all tokens are one row."""
        if not self.packed:
            return chosen
        assert isinstance(tokens, TokenBatch)
        return pack(chosen, tokens.attention_mask)[None]

    def _as_the_teacher_reads(self, queries: Integers, passages: Integers) -> Batch | Packed | None:
        """Return pairs in the teacher's form where that is another than the student's."""
        if self.teacher_tokens is None:
            return None
        return self._as_read(batch_of(self.teacher_tokens.batch(queries, passages)))


def _tensors(labels: Integers, places: Integers) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(labels[places]), torch.from_numpy(places)


def _taken(targets: npt.NDArray[np.float32] | None, places: Integers) -> Tensor | None:
    return None if targets is None else torch.from_numpy(targets[places])


def micro_batches_of_examples(count: int, size: int) -> list[slice]:
    """Cut examples into micro-batches of one size; the last one may be smaller."""
    return [slice(start, start + size) for start in range(0, count, size)]


def micro_batches_of_tokens(lengths: npt.NDArray[np.integer], budget: int, packed: bool) -> list[slice]:
    """Cut examples, in their order, into the fewest micro-batches that hold no more than a budget of tokens each.

    Packed ones hold the tokens of their pairs, padded ones as many for each pair as the longest has. An example over
    the budget is a micro-batch of its own. The lengths are those of the pairs of each example, [n, ways].
    """
    cuts, start, real, longest = [0], 0, 0, 0
    for at, example in enumerate(lengths.tolist()):
        real, longest = real + sum(example), max(longest, *example)
        tokens = real if packed else (at + 1 - start) * len(example) * longest
        if tokens > budget and at > start:
            cuts.append(at)
            start, real, longest = at, sum(example), max(example)
    return [slice(*ends) for ends in zip(cuts, [*cuts[1:], len(lengths)], strict=True)]


class Prefetcher(Generic[T]):
    """Calls a function of the step in one thread, a step ahead of the one that is asked for.

    Asked for a step, it returns what the function returns and raises what it raises. Steps can be asked for in any
    order: what was made for another is thrown away. Nothing is made ahead from step `end` on. The function is called
    in the thread alone, so never twice at once. The thread is gone when the `with` block is left.
    """

    def __init__(self, make: Callable[[int], T], end: int) -> None:
        self._make, self._end = make, end
        self._thread = ThreadPoolExecutor(1, PREFETCH_THREAD)
        self._made: tuple[int, Future[T]] | None = None

    def __call__(self, step: int) -> T:
        made, self._made = self._made, None
        if made is not None and made[0] == step:
            future = made[1]
        else:
            if made is not None:
                made[1].cancel()
            future = self._thread.submit(self._make, step)
        found = future.result()
        if step + 1 < self._end:
            self._made = (step + 1, self._thread.submit(self._make, step + 1))
        return found

    def forget(self) -> None:
        """Throw away what was made ahead, since it would be made otherwise now."""
        if self._made is not None:
            self._made[1].cancel()
            self._made = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._made = None

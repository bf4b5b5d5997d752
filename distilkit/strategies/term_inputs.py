"""What loss terms are computed from: the outputs of student and teacher, and the counts of the whole batch."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from distilkit.models.batch import Batch, TokenBatch
from distilkit.packed.batch import Packed
from distilkit.packed.transfer import QueryKey

T = TypeVar("T")


@dataclass(frozen=True)
class Counts:
    """What the whole effective batch holds, over all micro-batches, accumulation steps and processes.

    Every loss is divided by these, so that cutting a batch up changes neither loss nor gradient. `chosen` counts the
    masked words that are predicted.
    """

    pairs: int
    lists: int
    tokens: int
    token_pairs: int
    chosen: int = 0


@dataclass(frozen=True)
class Outputs:
    """What one model gives for some pairs: class logits [b, 2], attention scores, hidden states, logits of words.

    `vectors` are queries, keys and values of one layer.
    """

    classes: Tensor
    attentions: tuple[Tensor, ...] | tuple[QueryKey, ...] = ()
    states: tuple[Tensor, ...] = ()
    words: Tensor | None = None
    vectors: tuple[Tensor, ...] = ()

    @property
    def scores(self) -> Tensor:
        """The score of each pair, shape [b]."""
        return self.classes[:, 1] - self.classes[:, 0]


@dataclass(frozen=True)
class Inputs(Generic[T]):
    """The student's and, where there is one, the teacher's side of a comparison."""

    student: T
    taught: T | None
    counts: Counts

    @property
    def teacher(self) -> T:
        """The teacher's side; raises ValueError where there is none."""
        if self.taught is None:
            raise ValueError("a loss needs a teacher, and this stage has none")
        return self.taught


@dataclass(frozen=True)
class ExampleInputs(Inputs[Outputs]):
    """The outputs for the pairs (or texts) of one forward pass, their labels [b] and their tokens."""

    labels: Tensor
    tokens: Batch | Packed

    @property
    def mask(self) -> Tensor:
        """1 for tokens and 0 for padding, shape [b, L]; raises ValueError for texts that are read apart."""
        if not isinstance(self.tokens, TokenBatch | Packed):
            raise ValueError("a loss compares token by token, and this student reads query and passage apart")
        return self.tokens.attention_mask


@dataclass(frozen=True)
class ListInputs(Inputs[Tensor]):
    """The scores of a process's lists, [lists, ways], the positive first."""


@dataclass(frozen=True)
class BatchInputs:
    """The scores of queries with every passage of the effective batch, whose lists have `ways` passages each.

    Attributes:
        scores: the student's, [b, N]
        positives: the column of each query's positive, [b]
        excluded: true for passages that are relevant to a query too, [b, N]
        ways: passages of a list, which stand beside each other, the positive first
        lists: the lists of the whole batch
        taught: those of a teacher that scores the whole batch, [b, N]
    """

    scores: Tensor
    positives: Tensor
    excluded: Tensor
    ways: int
    lists: int
    taught: Tensor | None = None

    @property
    def own(self) -> Tensor:
        """True for the passages of a query's own list, [b, N]."""
        columns = torch.arange(self.scores.shape[1], device=self.scores.device)
        return (columns // self.ways)[None] == (self.positives // self.ways)[:, None]

    @property
    def teacher(self) -> Tensor:
        """The teacher's scores; raises ValueError where there is none."""
        if self.taught is None:
            raise ValueError("a loss needs a teacher that scores the whole batch, and this stage has none")
        return self.taught

    def rows(self, mine: slice) -> "BatchInputs":
        """Return those of some queries, without a graph."""
        taught = None if self.taught is None else self.taught[mine]
        parts = self.scores.detach()[mine], self.positives[mine], self.excluded[mine]
        return BatchInputs(*parts, self.ways, self.lists, taught)

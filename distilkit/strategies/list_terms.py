"""Loss terms of a query's list of passages, or of all of a batch: by a teacher's scores or order, or by labels."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from distilkit.strategies.terms import TERMS, ListTerm, Positive, Reference

if TYPE_CHECKING:
    from torch import Tensor

    from distilkit.strategies.term_inputs import BatchInputs, ListInputs


class ScoredListTerm(ListTerm):
    """A loss of the student's scores of a query's list against the teacher's."""

    examples = ("lists",)

    def compute(self, inputs: "ListInputs") -> "Tensor":
        """Return the loss of the lists."""
        return self.loss()(inputs.student, inputs.teacher, **self.options, normaliser=inputs.counts.lists)


class LabelledListTerm(ListTerm):
    """A loss of the student's scores of a query's list, whose first passage is the positive."""

    examples = ("lists",)
    uses_teacher = False

    def compute(self, inputs: "ListInputs") -> "Tensor":
        """Return the loss of the lists, each by itself."""
        return self.loss()(inputs.student, **self.options, normaliser=inputs.counts.lists)


@TERMS.register("list")
@dataclass(frozen=True)
class ListCrossEntropyTerm(LabelledListTerm):
    """Cross-entropy of a query's positive against its negatives (localised contrastive estimation)."""

    function = "list_cross_entropy"


class BatchTerm(ListTerm):
    """A loss of a query's scores of all passages of the batch, which `training.in_batch` makes.

    `compute` is of each list by itself, for students that cannot score other queries' passages, and for trials.
    """

    reads_batch = True

    @abstractmethod
    def compute_batch(self, inputs: "BatchInputs") -> "Tensor":
        """Return the share of the loss that some of the batch's queries have."""


@TERMS.register("contrastive")
@dataclass(frozen=True)
class ContrastiveTerm(LabelledListTerm, BatchTerm):
    """InfoNCE: cross-entropy of each positive against its negatives and, where texts are encoded apart, the batch's."""

    function = "info_nce"

    temperature: Positive = 1.0

    def compute_batch(self, inputs: "BatchInputs") -> "Tensor":
        """Return the share of the loss; other positives of the same query are not negatives."""
        scores, options = (inputs.scores, inputs.positives, inputs.excluded), self.options
        return self.loss()(*scores, **options, normaliser=inputs.lists)


@TERMS.register("in_batch_margin_mse")
@dataclass(frozen=True)
class InBatchMarginTerm(BatchTerm):
    """Margin-MSE of each positive against the passages of the batch's other queries, by a teacher that scores them all.

    The teacher is `colbert`, which learns the margins first, or a reference to a model that searches.
    """

    function = "in_batch_margin_mse"
    examples = ("triples", "lists")
    margins_suffice = True
    references: ClassVar[tuple[str, ...]] = ("teacher",)

    teacher: Reference = "colbert"

    def compute(self, inputs: "ListInputs") -> "Tensor":
        """Return 0: a list by itself has no passages of other queries."""
        return inputs.student.sum() * 0.0

    def compute_batch(self, inputs: "BatchInputs") -> "Tensor":
        """Return the share of the loss."""
        count = max(1, inputs.lists * (inputs.lists - 1) * inputs.ways)
        scores = inputs.scores, inputs.teacher, inputs.positives, inputs.own
        return self.loss()(*scores, normaliser=count)


@TERMS.register("kl_divergence")
@dataclass(frozen=True)
class KlDivergenceTerm(ScoredListTerm):
    """Kullback-Leibler divergence of the softmax over a query's list from the teacher's."""

    function = "kl_divergence"

    student_temperature: Positive = 1.0
    teacher_temperature: Positive = 1.0


@TERMS.register("list_net")
@dataclass(frozen=True)
class ListNetTerm(ScoredListTerm):
    """ListNet: cross-entropy of the softmax over a query's list against the teacher's."""

    function = "list_net"


@TERMS.register("list_mle")
@dataclass(frozen=True)
class ListMleTerm(ScoredListTerm):
    """ListMLE: negative log-likelihood of the teacher's order of a query's list."""

    function = "list_mle"
    order_suffices = True


@TERMS.register("lambda_rank")
@dataclass(frozen=True)
class LambdaRankTerm(ScoredListTerm):
    """LambdaRank: RankNet over a query's list, each pair weighted by how much swapping it changes nDCG."""

    function = "lambda_rank"
    order_suffices = True

    sigma: Positive = 1.0


@TERMS.register("adr_mse")
@dataclass(frozen=True)
class AdrMseTerm(ScoredListTerm):
    """ADR-MSE: discounted squared error of the student's smooth ranks in a query's list against the teacher's ranks."""

    function = "adr_mse"
    order_suffices = True

    temperature: Positive = 1.0
    discount: Literal["log2", "none"] = "log2"


@TERMS.register("list_ranknet")
@dataclass(frozen=True)
class ListRankNetTerm(ScoredListTerm):
    """RankNet over all pairs of a query's list, in the teacher's order; higher ranks weigh more, or all the same."""

    function = "list_ranknet"
    order_suffices = True

    discount: Literal["log2", "none"] = "log2"

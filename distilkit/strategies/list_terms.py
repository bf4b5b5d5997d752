"""Loss terms of a query's list of passages: against the teacher's scores or order, or against its one positive."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from distilkit.strategies.terms import TERMS, ListTerm, Positive

if TYPE_CHECKING:
    from torch import Tensor

    from distilkit.strategies.term_inputs import ListInputs


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


@TERMS.register("contrastive")
@dataclass(frozen=True)
class ContrastiveTerm(LabelledListTerm):
    """InfoNCE: cross-entropy of each positive against its negatives and, where texts are encoded apart, the batch's.

    `compute` is of each list by itself; the loss of a whole batch is made in `training.in_batch`.
    """

    function = "info_nce"
    reads_batch = True

    temperature: Positive = 1.0


@TERMS.register("kl_divergence")
@dataclass(frozen=True)
class KlDivergenceTerm(ScoredListTerm):
    """Kullback-Leibler divergence of the softmax over a query's list."""

    function = "kl_divergence"

    student_temperature: Positive = 1.0
    teacher_temperature: Positive = 1.0


@TERMS.register("list_net")
@dataclass(frozen=True)
class ListNetTerm(ScoredListTerm):
    """ListNet: cross-entropy of the softmax over a query's list."""

    function = "list_net"


@TERMS.register("list_mle")
@dataclass(frozen=True)
class ListMleTerm(ScoredListTerm):
    """ListMLE: likelihood of the teacher's order of a query's list."""

    function = "list_mle"
    order_suffices = True


@TERMS.register("lambda_rank")
@dataclass(frozen=True)
class LambdaRankTerm(ScoredListTerm):
    """LambdaRank: RankNet over a query's list, weighted by the change of nDCG."""

    function = "lambda_rank"
    order_suffices = True

    sigma: Positive = 1.0


@TERMS.register("adr_mse")
@dataclass(frozen=True)
class AdrMseTerm(ScoredListTerm):
    """ADR-MSE: discounted squared error of smooth ranks in a query's list."""

    function = "adr_mse"
    order_suffices = True

    temperature: Positive = 1.0
    discount: Literal["log2", "none"] = "log2"


@TERMS.register("list_ranknet")
@dataclass(frozen=True)
class ListRankNetTerm(ScoredListTerm):
    """RankNet over all pairs of a query's list, by the teacher's ranks, discounted or not."""

    function = "list_ranknet"
    order_suffices = True

    discount: Literal["log2", "none"] = "log2"

"""TAS-Balanced: batches of one topic, pairs of balanced margins, and two teachers: of pairs, and of the whole batch."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.list_terms import InBatchMarginTerm
from distilkit.strategies.stage import Stage, TopicSampling
from distilkit.strategies.terms import STRICT, Count, MarginMseTerm, Reference, Weight


@STRATEGIES.register("tas_balanced")
@dataclass(frozen=True)
class TasBalanced:
    """Distil margins into a bi-encoder by batches of one topic: of the teacher's pairs, and of all pairs of the batch.

    Equation: L = L_pair + alpha L_inB, L_pair = MSE(s⁺ - s⁻, t⁺ - t⁻) by the teacher, and L_inB = 1/2 the mean over
    i ≠ j of ((s(q_i, p_i⁺) - s(q_i, p_j⁺)) - (c(q_i, p_i⁺) - c(q_i, p_j⁺)))² plus 1/2 the same of p_j⁻, where c is a
    teacher that scores all pairs of the batch. A batch has queries of one cluster of k-means. The range of a query's
    teacher margins is cut into equal bins; a bin that is not empty is drawn, all equally often, and a pair of it.
    Papers: Hofstätter et al., Efficiently Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling
    (2021).
    Deviations: every query is drawn once a round, and a cluster that is smaller than a batch is filled up from the
    nearest clusters; the paper draws clusters at random. L_inB is a mean, as in the authors' code, so that alpha does
    not depend on the batch size. Clusters, baseline and ColBERT are made of the run's own training queries and
    candidates. The student starts as its recipe says, and may be a colbert. Another model as in-batch teacher should
    score in the teacher's range.
    Defaults: the paper's: 10 bins, alpha 0.75, clusters of 200 queries on the mean, of the vectors of a baseline that
    Margin-MSE trained, and a ColBERT that Margin-MSE trained as in-batch teacher. `clusters = 1`, `bins = 1` and
    `in_batch = 0.0` each leave one part out.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "TAS-Balanced"

    clusters: Count | None = None
    """How many clusters of training queries there are; one for every 200 queries where absent, 1 does not cluster."""
    cluster_encoder: Reference = "baseline"
    """Whose query vectors are clustered: baseline, the student trained by Margin-MSE first, or a bi-encoder."""
    bins: Annotated[int, Field(ge=1)] = 10
    """Into how many bins the range of a query's margins is cut; 1 draws its pairs without balancing them."""
    negative_pool: Count | None = None
    """Negatives of a positive that its pairs are drawn from; [train] negatives where absent. Steps stay as many."""
    pairwise: Weight = 1.0
    """The weight of the loss of pairs by the teacher."""
    in_batch: Weight = 0.75
    """The weight of the loss of all pairs of the batch by the in-batch teacher; 0 has no such teacher."""
    in_batch_teacher: Reference = "colbert"
    """Who scores all pairs of the batch: colbert, which learns the margins first, or another model that searches."""

    def __post_init__(self) -> None:
        if not self.pairwise and not self.in_batch:
            raise ValueError("pairwise and in_batch are both 0; expected one of them above 0")

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        if self.negative_pool is not None:
            epochs = train.num_train_epochs * train.negatives / self.negative_pool
            train = train.model_copy(update={"negatives": self.negative_pool, "num_train_epochs": epochs})
        terms = MarginMseTerm(self.pairwise), InBatchMarginTerm(self.in_batch, self.in_batch_teacher)
        used = tuple(term for term in terms if term.weight)
        sampling = TopicSampling(self.clusters, self.bins, self.cluster_encoder)
        return [Stage("tas", used, "triples", train, seed, topics=sampling)]

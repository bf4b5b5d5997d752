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
    """Distil margins into a bi-encoder: batches of one topic, and one teacher for pairs, one for the whole batch.

    Equation: L = L_pair + alpha · L_inB. L_pair = MSE(s⁺ - s⁻, t⁺ - t⁻), from the teacher t. L_inB is Margin-MSE from a
    second teacher c, which scores every query of the batch with every passage of it: the squared error of s(q_i, p_i⁺)
    - s(q_i, p) against c(q_i, p_i⁺) - c(q_i, p), where p is any passage of another query; positives and negatives count
    one half each. The queries of a batch come from one cluster, which k-means finds, so that the batch has one topic.
    The pairs of a query are balanced by their margins: the range of the teacher's margins is cut into equal bins, one
    of the bins that are not empty is drawn, and a pair from it.
    Papers: Hofstätter et al., Efficiently Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling
    (2021).
    Deviations: every query is drawn once before any is drawn again, and a cluster smaller than a batch is filled up
    from the nearest clusters; the paper draws clusters at random. L_inB is a mean, as in the authors' code, so that
    alpha does not depend on the batch size. Clusters, baseline and ColBERT are made from the run's own training queries
    and candidates. The student starts as its recipe says, and may be a colbert. A model of your own as in-batch teacher
    should score in the same range as the teacher.
    Defaults: those of the paper: 10 bins; alpha 0.75; 200 queries a cluster on average, clustered by the vectors of a
    baseline that Margin-MSE trains first; a ColBERT that Margin-MSE trains as in-batch teacher. clusters = 1, bins = 1
    and in_batch = 0.0 each switch one part off.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "TAS-Balanced"

    clusters: Count | None = None
    """How many clusters the training queries are cut into; where absent, one for every 200 queries. 1: no clusters."""
    cluster_encoder: Reference = "baseline"
    """Whose query vectors are clustered: baseline (the student is first trained by Margin-MSE), or a bi-encoder."""
    bins: Annotated[int, Field(ge=1)] = 10
    """How many bins the range of a query's margins is cut into; 1: pairs are drawn without balancing."""
    negative_pool: Count | None = None
    """How many negatives of each positive pairs are drawn from; [train] negatives where absent. The number of steps
    stays the same."""
    pairwise: Weight = 1.0
    """The weight of the loss on pairs, from the teacher."""
    in_batch: Weight = 0.75
    """The weight of the loss over the whole batch, from the in-batch teacher (the paper's alpha); 0: none."""
    in_batch_teacher: Reference = "colbert"
    """Who scores the whole batch: colbert (one is first trained by Margin-MSE), or a bi-encoder or ColBERT."""

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

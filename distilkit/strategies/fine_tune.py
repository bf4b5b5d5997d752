"""Training on labels alone: how a teacher is made, and what every distilled student has to beat."""

from dataclasses import dataclass
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.list_terms import ListCrossEntropyTerm
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT, HardTerm, RankNetTerm, Weight, examples_for


@STRATEGIES.register("fine_tune")
@dataclass(frozen=True)
class FineTune:
    """Fine-tune on relevance labels, without a teacher.

    Equation: L = cross_entropy · CE(y, z) + listwise · CE over a query's list, its positive against its negatives
    + ranknet · log(1 + exp(s⁻ - s⁺)).
    Papers: the "-" rows of every table; pairs as in Nogueira and Cho (2019), lists as in Gao et al. (2021), RankNet on
    triples as in Margin-MSE.
    Examples: (query, passage, label) pairs; where `listwise` is not 0, lists of a positive and its negatives; else,
    where `ranknet` is not 0, triples.
    Deviations: none; the losses can be mixed, which the papers do not.
    Defaults: the pairwise loss of Simplified TinyBERT's label-only rows.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "Simplified TinyBERT; Understanding BERT Rankers Under Distillation"

    cross_entropy: Weight = 1.0
    """The weight of the cross-entropy of each pair's label."""
    listwise: Weight = 0.0
    """The weight of the cross-entropy over a query's list of passages; above 0 training reads lists."""
    ranknet: Weight = 0.0
    """The weight of RankNet's loss, that a positive scores above a negative; above 0 training reads triples."""

    def __post_init__(self) -> None:
        if not self.cross_entropy and not self.listwise and not self.ranknet:
            raise ValueError("every loss has the weight 0; expected one above 0")

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        terms = HardTerm(self.cross_entropy), ListCrossEntropyTerm(self.listwise), RankNetTerm(self.ranknet)
        used = tuple(term for term in terms if term.weight)
        return [Stage("fine_tune", used, examples_for(used), train, seed)]

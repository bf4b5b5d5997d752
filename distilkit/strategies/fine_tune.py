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

    Equation: L = cross_entropy · CE(y, z) + listwise · CE of the positive against the negatives in a query's list +
    ranknet · log(1 + exp(s⁻ - s⁺)).
    Papers: the rows without a teacher in the tables of all papers. Pairs as in Nogueira and Cho (2019), lists as in Gao
    et al. (2021), RankNet on triples as in Margin-MSE.
    Examples: pairs of query and passage with a label; lists of a positive and its negatives if `listwise` is not 0;
    otherwise triples if `ranknet` is not 0.
    Deviations: none. The three losses can be added up, which the papers do not do.
    Defaults: the loss of pairs alone, as in Simplified TinyBERT's rows without a teacher.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "Simplified TinyBERT; Understanding BERT Rankers Under Distillation"

    cross_entropy: Weight = 1.0
    """The weight of the cross-entropy against each pair's label."""
    listwise: Weight = 0.0
    """The weight of the cross-entropy over each query's list; above 0, training reads lists."""
    ranknet: Weight = 0.0
    """The weight of RankNet's loss of a positive and a negative; above 0, training reads triples."""

    def __post_init__(self) -> None:
        if not self.cross_entropy and not self.listwise and not self.ranknet:
            raise ValueError("every loss has the weight 0; expected one above 0")

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        terms = HardTerm(self.cross_entropy), ListCrossEntropyTerm(self.listwise), RankNetTerm(self.ranknet)
        used = tuple(term for term in terms if term.weight)
        return [Stage("fine_tune", used, examples_for(used), train, seed)]

"""Training on labels alone: how a teacher is made, and what every distilled student has to beat."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.stage import Stage, Term

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@STRATEGIES.register("fine_tune")
@dataclass(frozen=True)
class FineTune:
    """Fine-tune on relevance labels, without a teacher.

    Equation: L = cross_entropy · CE(y, z) + listwise · CE over a query's list, its positive against its negatives.
    Papers: the "-" rows of every table; pairs as in Nogueira and Cho (2019), lists as in Gao et al. (2021).
    Examples: (query, passage, label) pairs; where `listwise` is not 0, lists of a positive and its negatives.
    Defaults: the pairwise loss of Simplified TinyBERT's label-only rows.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "Simplified TinyBERT; Understanding BERT Rankers Under Distillation"

    cross_entropy: Weight = 1.0
    listwise: Weight = 0.0

    def __post_init__(self) -> None:
        if not self.cross_entropy and not self.listwise:
            raise ValueError("both losses have the weight 0; expected one above 0")

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        weights = {"hard": self.cross_entropy, "list": self.listwise}
        terms = tuple(Term(name, weight) for name, weight in weights.items() if weight)
        return [Stage("fine_tune", terms, "lists" if self.listwise else "pairs", train, seed)]

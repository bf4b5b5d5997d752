"""A strategy of one's own: labels first, then the teacher's margins."""

from dataclasses import dataclass
from typing import ClassVar

import distilkit
from distilkit.strategies import TERMS, Stage
from distilkit.strategies.terms import STRICT


@distilkit.register_strategy("labels_then_margins")
@dataclass(frozen=True)
class LabelsThenMargins:
    """Fine-tune on labels, then distil the teacher's margins.

    Equation: labels: RankNet(s⁺ - s⁻); margins: weight · MSE(s⁺ - s⁻, t⁺ - t⁻), both on triples.
    Paper: none; this is an example.
    """

    __pydantic_config__ = STRICT  # unknown keys in a recipe are refused
    paper: ClassVar[str] = "none"

    weight: float = 1.0
    """Weight of the loss of the second stage."""

    def stages(self, train, seed):
        """Return the two stages; a recipe gives each its own budget in [stages.labels] and [stages.margins]."""
        return [
            Stage("labels", (TERMS["ranknet"](1.0),), "triples", train, seed),
            Stage("margins", (TERMS["margin_mse"](self.weight),), "triples", train, seed),
        ]

"""Ranker Distill: a fine-tuned ranker distilled into a student that starts at random."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.internals import InternalsStrategy, TeacherWeights
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import Positive

PAPER = "Understanding BERT Rankers Under Distillation"


@STRATEGIES.register("ranker_distill")
@dataclass(frozen=True)
class RankerDistill(InternalsStrategy):
    """Distil the fine-tuned ranker's insides and predictions into a student that starts at random.

    Equation: L = L_attn + L_hidn + L_emb + L_soft, each times its weight, as TinyBERT computes them.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), Ranker Distill.
    Deviations: the paper does not say whether predictions are distilled with the insides or after them;
    one_step = false gives the two steps of the TinyBERT software it builds on. The random start is the recipe's
    [student] start = "random".
    Defaults: weights and temperature 1, those of the TinyBERT software.
    """

    paper: ClassVar[str] = PAPER

    one_step: bool = True
    temperature: Positive = 1.0
    weights: TeacherWeights = field(default_factory=TeacherWeights)

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the task distillation."""
        outputs = (self._soft(self.weights.soft, self.temperature),)
        return self._task(self.weights, outputs, self.one_step, train, seed)

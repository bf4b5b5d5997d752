"""Ranker Distill: a fine-tuned ranker distilled into a student that starts at random."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.internals import Method, TeacherWeights, Temperature
from distilkit.strategies.stage import LayerMapping, Mode, Projection, Stage, Variant

PAPER = "Understanding BERT Rankers Under Distillation"


def ranker_stages(
    method: Method, weights: TeacherWeights, temperature: float, one_step: bool, train: TrainSettings, seed: int
) -> list[Stage]:
    """Return the distillation of a ranker: its insides and predictions at once, or one after the other."""
    internal, soft = method.internal(weights), method.soft(weights.soft, temperature)
    if one_step:
        return [method.stage("distil", (*internal, soft), "pairs", train, seed)]
    return [
        method.stage("intermediate", internal, "pairs", train, seed),
        method.stage("prediction", (soft,), "pairs", train, seed),
    ]


@STRATEGIES.register("ranker_distill")
@dataclass(frozen=True)
class RankerDistill:
    """Distil the fine-tuned ranker's insides and predictions into a student that starts at random.

    Equation: L = L_attn + L_hidn + L_emb + L_soft, each times its weight, as TinyBERT computes them.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), Ranker Distill.
    Deviations: the paper does not say whether predictions are distilled with the insides or after them;
    one_step = false gives the two steps of the TinyBERT software it builds on. The random start is the recipe's
    [student] start = "random".
    Defaults: weights and temperature 1, those of the TinyBERT software.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER

    one_step: bool = True
    temperature: Temperature = 1.0
    weights: TeacherWeights = field(default_factory=TeacherWeights)
    projection: Projection = "shared"
    layer_map: LayerMapping = "uniform"
    teacher_mode: Mode = "eval"
    variant: Variant = "paper"

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the task distillation."""
        method = Method(self.variant, self.projection, self.layer_map, self.teacher_mode)
        return ranker_stages(method, self.weights, self.temperature, self.one_step, train, seed)

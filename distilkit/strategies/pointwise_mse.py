"""Pointwise MSE: the student learns what the teacher scores."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.internals import Temperature
from distilkit.strategies.scores import PAPER, Mix, score_stage
from distilkit.strategies.stage import Stage, Variant


@STRATEGIES.register("pointwise_mse")
@dataclass(frozen=True)
class PointwiseMse:
    """Distil the teacher's scores themselves.

    Equation (13): L = MSE(s⁺, t⁺) + MSE(s⁻, t⁻) on triples; variant = "released_code" takes half of it.
    Paper: Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), table 2.
    Deviations: none in `paper`. `mix` adds other losses with weights.
    Defaults: the paper's loss alone.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER

    mix: Mix = field(default_factory=Mix)
    student_temperature: Temperature = 1.0
    teacher_temperature: Temperature = 1.0
    variant: Variant = "paper"

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        temperatures = (self.student_temperature, self.teacher_temperature)
        return [score_stage("pointwise_mse", self.mix, self.variant, temperatures, train, seed)]

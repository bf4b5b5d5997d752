"""Margin-MSE: the student learns by how much the teacher prefers the one passage, not what it scores."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.internals import Temperature
from distilkit.strategies.scores import PAPER, Mix, score_stage
from distilkit.strategies.stage import Stage


@STRATEGIES.register("margin_mse")
@dataclass(frozen=True)
class MarginMse:
    """Distil the teacher's margins between relevant and other passages, into any of the five students.

    Equation (12): L = MSE(s⁺ - s⁻, t⁺ - t⁻) on triples, each positive with each of its negatives.
    Paper: Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), Margin-MSE; the teacher may be an ensemble, whose scores are averaged.
    Deviations: none in the loss. `mix` adds other losses with weights, which the paper does not.
    Defaults: the paper's loss alone; its batch size 32, learning rate 7e-6 and lengths 30 and 200 are the recipe's.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER

    mix: Mix = field(default_factory=Mix)
    student_temperature: Temperature = 1.0
    teacher_temperature: Temperature = 1.0

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        temperatures = (self.student_temperature, self.teacher_temperature)
        return [score_stage("margin_mse", self.mix, "paper", temperatures, train, seed)]

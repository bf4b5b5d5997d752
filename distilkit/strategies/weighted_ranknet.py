"""Weighted RankNet: labels give the order, the teacher how much each pair counts."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.internals import Temperature
from distilkit.strategies.scores import PAPER, Mix, score_stage
from distilkit.strategies.stage import Stage, Variant


@STRATEGIES.register("weighted_ranknet")
@dataclass(frozen=True)
class WeightedRankNet:
    """Learn the order of positives and negatives, each pair weighted by the teacher's margin.

    Equation (14): L = RankNet(s⁺ - s⁻) · |t⁺ - t⁻| on triples; variant = "released_code" keeps the margin's sign.
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
        return [score_stage("weighted_ranknet", self.mix, self.variant, temperatures, train, seed)]

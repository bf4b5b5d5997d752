"""LM Distill + Ranker Distill: a language model distilled on text, then the fine-tuned ranker."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.internals import Method, TeacherWeights, Temperature, Weight
from distilkit.strategies.ranker_distill import PAPER, ranker_stages
from distilkit.strategies.stage import LayerMapping, Mode, Projection, Stage, Variant


@dataclass(frozen=True)
class LmRankerWeights(TeacherWeights):
    """The weight of each loss, those of general distillation included."""

    masked_lm: Weight = 1.0


@STRATEGIES.register("lm_distill_ranker_distill")
@dataclass(frozen=True)
class LmDistillRankerDistill:
    """Distil the language model on text, then the fine-tuned ranker's insides and predictions.

    Equation: general: L_attn + L_hidn + L_emb + L_mlm on text; then L_attn + L_hidn + L_emb + L_soft from the ranker.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), LM Distill + Ranker
    Distill.
    Deviations: those of lm_distill_fine_tune and ranker_distill.
    Defaults: weights and temperature 1, those of the TinyBERT software.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER

    one_step: bool = True
    temperature: Temperature = 1.0
    weights: LmRankerWeights = field(default_factory=LmRankerWeights)
    projection: Projection = "shared"
    layer_map: LayerMapping = "uniform"
    teacher_mode: Mode = "eval"
    variant: Variant = "paper"

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return general distillation and the task distillation."""
        method = Method(self.variant, self.projection, self.layer_map, self.teacher_mode)
        general = method.general(self.weights, train, seed, self.weights.masked_lm)
        return [general, *ranker_stages(method, self.weights, self.temperature, self.one_step, train, seed)]

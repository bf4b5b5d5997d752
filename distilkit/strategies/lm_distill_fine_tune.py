"""LM Distill + Fine-Tuning: a language model distilled on text, then the student fine-tuned on labels."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.fine_tune import FineTune
from distilkit.strategies.internals import InternalWeights, Method, Weight
from distilkit.strategies.ranker_distill import PAPER
from distilkit.strategies.stage import LayerMapping, Mode, Projection, Stage, Variant


@dataclass(frozen=True)
class LmWeights(InternalWeights):
    """The weight of each loss of general distillation."""

    masked_lm: Weight = 1.0


@STRATEGIES.register("lm_distill_fine_tune")
@dataclass(frozen=True)
class LmDistillFineTune:
    """Distil the language model on text, then fine-tune the student on labels.

    Equation: general: L_attn + L_hidn + L_emb + L_mlm on text, where L_mlm is the cross-entropy of the student's
    masked-word predictions against the teacher's; then cross_entropy · CE(y, z) + listwise · CE over lists.
    Paper: Gao, Dai and Callan, Understanding BERT Rankers Under Distillation (ICTIR 2020), LM Distill + Fine-Tuning.
    Deviations: the paper speaks of distilling "LM predictions", the TinyBERT software it builds on distils none:
    variant = "released_code" leaves L_mlm out, as does weights.masked_lm = 0, for teachers without that head.
    L_mlm is read at the masked tokens: [general] masking = "bert".
    Defaults: weights and temperature 1, those of the TinyBERT software; fine-tuning on pairs after Nogueira and Cho.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER

    cross_entropy: Weight = 1.0
    listwise: Weight = 0.0
    weights: LmWeights = field(default_factory=LmWeights)
    projection: Projection = "shared"
    layer_map: LayerMapping = "uniform"
    teacher_mode: Mode = "eval"
    variant: Variant = "paper"

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return general distillation and fine-tuning."""
        method = Method(self.variant, self.projection, self.layer_map, self.teacher_mode)
        general = method.general(self.weights, train, seed, self.weights.masked_lm)
        return [general, *FineTune(self.cross_entropy, self.listwise).stages(train, seed)]

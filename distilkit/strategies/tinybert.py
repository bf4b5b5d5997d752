"""TinyBERT, in steps from text to predictions, and Simplified TinyBERT, every loss and the labels in one step."""

from dataclasses import dataclass, field
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.internals import InternalsStrategy, Weights
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import HardTerm, Positive, Term


@STRATEGIES.register("tinybert")
@dataclass(frozen=True)
class TinyBert(InternalsStrategy):
    """Distil a language model's insides on text, then a ranker's insides, then its predictions.

    Equation: general: L_attn + L_hidn + L_emb on text, from the checkpoint before fine-tuning; intermediate: the same
    from the ranker, on pairs; prediction: L_soft. hard_label = true adds L_hard to the last step and one_step = true
    merges the last two (Equation (1)): the ablations of Simplified TinyBERT's table 1; both give its Equation (2).
    Papers: Jiao et al., TinyBERT (2020); Chen et al., Simplified TinyBERT (ECIR 2021).
    Deviations: as simplified_tinybert, variant = "released_code" included. The released code's first task step has a
    constant learning rate: set [stages.intermediate] lr_scheduler_type = "constant".
    Defaults: weights and temperature 1 (both papers). Learning rates, batch sizes and epochs belong to the recipe, in
    [stages.general], [stages.intermediate] and [stages.prediction]; Chen et al. take 5e-5, batch 64 for what reads
    the intermediate layers, 1e-6 and 128 for predictions, up to two epochs each.
    """

    paper: ClassVar[str] = "Simplified TinyBERT; TinyBERT"

    hard_label: bool = False
    """Whether the last step learns from the labels, too."""
    one_step: bool = False
    """Whether insides and predictions are distilled in one step, instead of one after the other."""
    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: Weights = field(default_factory=Weights)
    """The weight of each loss."""
    general: bool = True
    """Whether general distillation on plain text comes first."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return general distillation, the intermediate step and the prediction step, or the last two as one."""
        weights = self.weights
        outputs: tuple[Term, ...] = (self._soft(weights.soft, self.temperature),)
        if self.hard_label:
            outputs += (HardTerm(weights.hard),)
        task = self._task(weights, outputs, self.one_step, train, seed)
        return [self._general(weights, train, seed), *task] if self.general else task


@STRATEGIES.register("simplified_tinybert")
@dataclass(frozen=True)
class SimplifiedTinyBert(InternalsStrategy):
    """Distil attention scores, hidden states, embeddings and predictions together with the labels, in one step.

    Equation (2): L = L_attn + L_hidn + L_emb + L_soft + L_hard, each times its weight; student layer m of M learns
    from teacher layer m·N/M of N; attention before the softmax; hidden states through a learned projection.
    Paper: Chen et al., Simplified TinyBERT: Knowledge Distillation for Document Retrieval (ECIR 2021).
    Deviations: the mean squared errors are means over real tokens, so that padding changes nothing; a one-logit
    head stands for the two classes [0, z]. variant = "released_code" brings back the released code's own: means
    over padding too, scores at or below -100 set to 0, the soft loss divided by the number of classes, and a ReLU
    before the classifier during training alone (teacher_mode = "train" leaves the teacher's dropout on, as it does).
    general = true puts general distillation before the step, as in table 1; without it the student's start (the
    teacher's first layers, section 3.1) takes its place.
    Defaults: weights and temperature 1 as in the paper's section 3.2.
    """

    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: Weights = field(default_factory=Weights)
    """The weight of each loss."""
    general: bool = False
    """Whether general distillation on plain text comes first."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one step, general distillation before it if asked for."""
        weights = self.weights
        outputs = self._soft(weights.soft, self.temperature), HardTerm(weights.hard)
        distil = self._task(weights, outputs, True, train, seed)
        return [self._general(weights, train, seed), *distil] if self.general else distil

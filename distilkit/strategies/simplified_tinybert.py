"""Simplified TinyBERT: every distillation loss and the labels, in one step."""

from dataclasses import dataclass, field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.internals import InternalsStrategy, Weights
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import HardTerm, Positive


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
    weights: Weights = field(default_factory=Weights)
    general: bool = False

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one step, general distillation before it if asked for."""
        weights = self.weights
        outputs = self._soft(weights.soft, self.temperature), HardTerm(weights.hard)
        distil = self._task(weights, outputs, True, train, seed)
        return [self._general(weights, train, seed), *distil] if self.general else distil

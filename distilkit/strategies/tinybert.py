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
    """Distil a language model's intermediate layers on text, then a ranker's, then the ranker's predictions.

    Equation: general: L_attn + L_hidn + L_emb on text, from the checkpoint before it was fine-tuned; intermediate: the
    same from the ranker, on pairs; prediction: L_soft. hard_label = true adds L_hard to the last step; one_step = true
    makes one step of the last two (Equation (1)). These are the ablations in table 1 of Simplified TinyBERT; both
    together give its Equation (2).
    Papers: Jiao et al., TinyBERT (2020); Chen et al., Simplified TinyBERT (ECIR 2021).
    Deviations: those of simplified_tinybert, also for variant = "released_code". The released code trains the
    intermediate step at a constant learning rate: [stages.intermediate] lr_scheduler_type = "constant".
    Defaults: weights and temperature 1 (both papers), and next_text 0: the released code reads pairs of texts, as
    [general] pairs = true does, and has no loss of them. Learning rates, batch sizes and epochs belong into the recipe:
    [stages.general], [stages.intermediate] and [stages.prediction]. Chen et al. take 5e-5 and batches of 64 for steps
    with intermediate layers, 1e-6 and 128 for predictions, and at most two epochs each.
    """

    paper: ClassVar[str] = "Simplified TinyBERT; TinyBERT"

    hard_label: bool = False
    """Whether the last step learns from the labels, too."""
    one_step: bool = False
    """Whether intermediate layers and predictions are distilled in one step, instead of one after the other."""
    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: Weights = field(default_factory=Weights)
    """The weight of each loss; next_text, a loss of general distillation, needs [general] pairs = true."""
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
    """Distil attention scores, hidden states, embeddings and predictions, with the labels, all in one step.

    Equation (2): L = L_attn + L_hidn + L_emb + L_soft + L_hard, each times its weight. Layer m of the student's M
    layers learns from layer m·N/M of the teacher's N. Attention scores are compared before the softmax, hidden states
    after a learned projection to the teacher's width.
    Paper: Chen et al., Simplified TinyBERT: Knowledge Distillation for Document Retrieval (ECIR 2021).
    Deviations: squared errors are averaged over the tokens without padding, so that padding changes nothing; a head
    with one logit z stands for the two classes, whose logits are then [0, z]. variant = "released_code" computes as the
    authors' code does: padding counts in the averages, attention scores at or below -100 become 0, L_soft is divided by
    the number of classes, and there is a ReLU before the classifier during training; the code also leaves the teacher's
    dropout on, which is teacher_mode = "train". general = true puts general distillation first, as in the paper's table
    1; without it the student starts from the teacher's first layers (section 3.1).
    Defaults: weights and temperature 1, as in section 3.2 of the paper.
    """

    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    weights: Weights = field(default_factory=Weights)
    """The weight of each loss; next_text, a loss of general distillation, needs [general] pairs = true."""
    general: bool = False
    """Whether general distillation on plain text comes first."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one step, general distillation before it if asked for."""
        weights = self.weights
        outputs = self._soft(weights.soft, self.temperature), HardTerm(weights.hard)
        distil = self._task(weights, outputs, True, train, seed)
        return [self._general(weights, train, seed), *distil] if self.general else distil

"""Standard knowledge distillation: the teacher's predictions and the labels, mixed."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.internals import GeneralWeights, InternalsStrategy
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import HardTerm, Positive, SoftTerm


@STRATEGIES.register("standard_kd")
@dataclass(frozen=True)
class StandardKd(InternalsStrategy):
    """Distil the teacher's predictions at a temperature, mixed with the labels.

    Equation: L = alpha · L_soft(T) + (1 - alpha) · L_hard. `soft` says what L_soft is: the cross-entropy (ce), the
    Kullback-Leibler divergence (kl, which has the same gradient) or the mean squared error of the logits (logit_mse).
    Papers: Chen et al., Simplified TinyBERT (ECIR 2021), Standard KD; Hinton et al. (2015); Sun et al. (2019).
    Deviations: none in `paper`. reduction = "mean" also divides L_soft by the number of classes; variant =
    "released_code" does that too, and puts a ReLU before the classifier during training. t_squared = true multiplies
    L_soft by T², which Hinton et al. advise and Simplified TinyBERT's code leaves out.
    Defaults: T = 1 and alpha = 0.5, as in the released code. The paper chooses T from {1, 5, 10} and alpha from {0.2,
    0.5, 0.7} on the validation queries: [grid] "strategy.temperature" and "strategy.alpha". general = true puts general
    distillation first, with the weights of its losses, which the paper does not state for this row.
    """

    temperature: Positive = 1.0
    """The temperature that the logits of student and teacher are divided by before the softmax."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The weight of the loss against the teacher; the loss against the labels has the weight 1 - alpha."""
    soft: Literal["ce", "kl", "logit_mse"] = "ce"
    """The loss against the teacher: cross-entropy (ce), KL divergence (kl) or squared error of logits (logit_mse)."""
    reduction: Literal["batchmean", "mean"] = "batchmean"
    """The loss against the teacher is averaged over the batch alone (batchmean), or over the classes, too (mean)."""
    t_squared: bool = False
    """Whether the loss against the teacher is multiplied by the squared temperature."""
    general: bool = False
    """Whether general distillation on plain text comes first."""
    weights: GeneralWeights = field(default_factory=GeneralWeights)
    """The weights of general distillation, where it comes first; next_text needs [general] pairs = true."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one step, general distillation before it if asked for."""
        soft = SoftTerm(
            self.alpha,
            kind=self.soft,
            temperature=self.temperature,
            reduction="mean" if self.variant == "released_code" else self.reduction,
            t_squared=self.t_squared,
        )
        distil = self._stage("prediction", (soft, HardTerm(1 - self.alpha)), train, seed)
        return [self._general(self.weights, train, seed), distil] if self.general else [distil]

"""Simplified TinyBERT: every distillation loss and the labels, in one step."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, STRICT
from distilkit.strategies.fine_tune import Weight
from distilkit.strategies.stage import Stage, Term


@dataclass(frozen=True)
class Weights:
    """The weight of each loss; the paper adds them up as they are."""

    __pydantic_config__ = STRICT

    attention: Weight = 1.0
    hidden: Weight = 1.0
    embedding: Weight = 1.0
    soft: Weight = 1.0
    hard: Weight = 1.0

    def __post_init__(self) -> None:
        if not any(vars(self).values()):
            raise ValueError("every loss has the weight 0; expected one above 0")


@STRATEGIES.register("simplified_tinybert")
@dataclass(frozen=True)
class SimplifiedTinyBert:
    """Distil attention scores, hidden states, embeddings and predictions together with the labels, in one step.

    Equation (2): L = L_attn + L_hidn + L_emb + L_soft + L_hard, each times its weight; student layer m of M learns
    from teacher layer m·N/M of N; attention before the softmax; hidden states through a learned projection.
    Paper: Chen et al., Simplified TinyBERT: Knowledge Distillation for Document Retrieval (ECIR 2021).
    Deviations: the mean squared errors are means over real tokens, so that padding changes nothing; a one-logit
    head stands for the two classes [0, z]. variant = "released_code" brings back the released code's own: means
    over padding too, scores at or below -100 set to 0, the soft loss divided by the number of classes, and a ReLU
    before the classifier during training alone.
    Defaults: weights and temperature 1 as in the paper's section 3.2.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "Simplified TinyBERT"

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    weights: Weights = field(default_factory=Weights)
    projection: Literal["shared", "per_state", "identity"] = "shared"
    variant: Literal["paper", "released_code"] = "paper"

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        released = self.variant == "released_code"
        soft = {"temperature": self.temperature, "reduction": "mean" if released else "batchmean"}
        weights = self.weights
        terms = (
            Term("attention", weights.attention, {"variant": self.variant}),
            Term("hidden", weights.hidden, {"variant": self.variant}),
            Term("embedding", weights.embedding, {"variant": self.variant}),
            Term("soft", weights.soft, soft),
            Term("hard", weights.hard),
        )
        used = tuple(term for term in terms if term.weight)
        head: Literal["plain", "relu"] = "relu" if released else "plain"
        return [Stage("distil", used, "pairs", train, seed, self.variant, self.projection, head)]

"""What the strategies of TinyBERT's family have in common: weights and terms of the intermediate layers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRICT
from distilkit.strategies.stage import Examples, LayerMapping, Mode, Projection, Stage, Term, Variant

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class InternalWeights:
    """The weight of each loss of a model's insides; the papers add them up as they are."""

    __pydantic_config__ = STRICT

    attention: Weight = 1.0
    hidden: Weight = 1.0
    embedding: Weight = 1.0

    def __post_init__(self) -> None:
        if not any(vars(self).values()):
            raise ValueError("every loss has the weight 0; expected one above 0")


@dataclass(frozen=True)
class TeacherWeights(InternalWeights):
    """The weight of each loss against a ranker."""

    soft: Weight = 1.0


@dataclass(frozen=True)
class Weights(TeacherWeights):
    """The weight of each loss, that of the labels included."""

    hard: Weight = 1.0


@dataclass(frozen=True)
class Method:
    """How internals are compared: the options that a strategy's stages share."""

    variant: Variant
    projection: Projection
    layer_map: LayerMapping
    teacher_mode: Mode

    def stage(self, name: str, terms: tuple[Term, ...], examples: Examples, train: TrainSettings, seed: int) -> Stage:
        """Return a stage with the terms that have a weight."""
        used = tuple(term for term in terms if term.weight)
        if not used:
            raise ValueError(f"every loss of the stage {name!r} has the weight 0; expected one above 0")
        head: Literal["plain", "relu"] = "relu" if self.variant == "released_code" and examples != "text" else "plain"
        return Stage(
            name, used, examples, train, seed, self.variant, self.projection, head, self.layer_map, self.teacher_mode
        )

    def general(self, weights: InternalWeights, train: TrainSettings, seed: int, masked_lm: float = 0.0) -> Stage:
        """Return general distillation: attention, hidden states and embeddings of the language model, on text."""
        lm = Term("masked_lm", masked_lm if self.variant == "paper" else 0.0, {"kind": "ce"})
        return self.stage("general", (*self.internal(weights), lm), "text", train, seed)

    def internal(self, weights: InternalWeights) -> tuple[Term, ...]:
        """Return the terms of the intermediate layers."""
        names = ("attention", "hidden", "embedding")
        return tuple(Term(name, getattr(weights, name), {"variant": self.variant}) for name in names)

    def soft(self, weight: float, temperature: float) -> Term:
        """Return the cross-entropy against the teacher's classes; the released code divides by their number too."""
        reduction = "mean" if self.variant == "released_code" else "batchmean"
        return Term("soft", weight, {"temperature": temperature, "reduction": reduction})

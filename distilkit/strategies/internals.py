"""What the strategies of TinyBERT's family share: weights of losses, options, and how their stages are made."""

from dataclasses import dataclass
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.stage import LayerMapping, Mode, Projection, Stage
from distilkit.strategies.terms import (
    STRICT,
    AttentionTerm,
    EmbeddingTerm,
    Examples,
    HiddenTerm,
    MaskedLmTerm,
    NextTextTerm,
    SoftTerm,
    Term,
    Variant,
    Weight,
)


@dataclass(frozen=True)
class InternalWeights:
    """The weight of each loss of attention scores and hidden states; the papers add them up as they are."""

    __pydantic_config__ = STRICT

    attention: Weight = 1.0
    """The weight of the squared error of attention scores."""
    hidden: Weight = 1.0
    """The weight of the squared error of hidden states."""
    embedding: Weight = 1.0
    """The weight of the squared error of embeddings."""

    def __post_init__(self) -> None:
        if not any(vars(self).values()):
            raise ValueError("every loss has the weight 0; expected one above 0")


@dataclass(frozen=True)
class GeneralWeights(InternalWeights):
    """The weight of each loss of general distillation."""

    next_text: Weight = 0.0
    """The weight of next sentence prediction in general distillation: the cross-entropy of the student's own score of
    two texts, that the second continues the first. It needs [general] pairs = true."""


@dataclass(frozen=True)
class TeacherWeights(InternalWeights):
    """The weight of each loss against a ranker."""

    soft: Weight = 1.0
    """The weight of the cross-entropy against the teacher's predictions."""


@dataclass(frozen=True)
class Weights(TeacherWeights, GeneralWeights):
    """The weight of each loss, that of the labels included."""

    hard: Weight = 1.0
    """The weight of the cross-entropy against the labels."""


@dataclass(frozen=True)
class InternalsStrategy:
    """The options of strategies that compare attention scores and hidden states, and how they make their stages."""

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "Simplified TinyBERT"

    projection: Projection = "shared"
    """What maps the student's hidden states to the teacher's width: one matrix for all layers (shared), one for each
    (per_state), or nothing, where the widths are equal (identity)."""
    layer_map: LayerMapping = "uniform"
    """Which teacher layer each student layer learns from: evenly spread ones (uniform), the last ones (last), or a list
    of their numbers, from 1."""
    teacher_mode: Mode = "eval"
    """Whether the teacher computes without dropout (eval) or with it (train)."""
    variant: Variant = "paper"
    """The equations as the paper writes them (paper), or as its code computes them (released_code)."""

    def _stage(self, name: str, terms: tuple[Term, ...], train: TrainSettings, seed: int, text: bool = False) -> Stage:
        """Return a stage on pairs, or on text, with the terms that have a weight."""
        used = tuple(term for term in terms if term.weight)
        if not used:
            raise ValueError(f"every loss of the stage {name!r} has the weight 0; expected one above 0")
        examples: Examples = "text" if text else "pairs"
        released = self.variant == "released_code" and not text
        return Stage(
            name,
            used,
            examples,
            train,
            seed,
            variant=self.variant,
            projection=self.projection,
            head="relu" if released else "plain",
            layer_map=self.layer_map,
            teacher_mode=self.teacher_mode,
        )

    def _general(self, weights: GeneralWeights, train: TrainSettings, seed: int, masked_lm: float = 0.0) -> Stage:
        """Return general distillation: attention, hidden states and embeddings of the language model, on text."""
        words = MaskedLmTerm(masked_lm if self.variant == "paper" else 0.0)
        terms = (*self._internal(weights), words, NextTextTerm(weights.next_text))
        return self._stage("general", terms, train, seed, text=True)

    def _internal(self, weights: InternalWeights) -> tuple[Term, ...]:
        """Return the terms of the intermediate layers."""
        return (
            AttentionTerm(weights.attention, self.variant),
            HiddenTerm(weights.hidden, self.variant),
            EmbeddingTerm(weights.embedding, self.variant),
        )

    def _soft(self, weight: float, temperature: float) -> Term:
        """Return the cross-entropy against the teacher's classes; the released code divides by their number too."""
        released = self.variant == "released_code"
        return SoftTerm(weight, temperature=temperature, reduction="mean" if released else "batchmean")

    def _task(
        self,
        weights: TeacherWeights,
        outputs: tuple[Term, ...],
        one_step: bool,
        train: TrainSettings,
        seed: int,
    ) -> list[Stage]:
        """Return the distillation of a ranker: intermediate layers and outputs at once, or one after the other."""
        internal = self._internal(weights)
        if one_step:
            return [self._stage("distil", (*internal, *outputs), train, seed)]
        return [
            self._stage("intermediate", internal, train, seed),
            self._stage("prediction", outputs, train, seed),
        ]

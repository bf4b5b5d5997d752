"""Strategies that add up losses of scores: those of Hofstätter et al., and one of whatever losses a recipe names."""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, PlainValidator

from distilkit.errors import UserError, nearest
from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES, StrategyError, validated
from distilkit.strategies.stage import LayerMapping, Mode, Projection, ScoreOffset, Stage
from distilkit.strategies.terms import STRICT, TERMS, Positive, Term, Variant, Weight, examples_for

PAPER = "Margin-MSE"


def _terms(value: object) -> tuple[Term, ...]:
    """Return the loss terms of a recipe's list of tables, each with a name, a weight and options."""
    if not isinstance(value, list) or not all(isinstance(one, dict) and "name" in one for one in value):
        raise ValueError('expected a list of losses such as [{ name = "kl_divergence", weight = 1.0 }]')
    terms = tuple(_term(one) for one in value)
    names = [term.name for term in terms]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is listed twice; expected each loss once")
    return terms


def _term(table: dict[str, Any]) -> Term:
    options = {key: value for key, value in table.items() if key != "name"}
    try:
        kind = TERMS[str(table["name"])]
    except UserError as error:
        raise StrategyError(f"[strategy.losses] name: {error}", ("losses", "name")) from None
    return validated(kind, options, TERMS.name_of(kind), ("losses",))


def _known(mix: dict[str, float]) -> dict[str, float]:
    for name in mix:
        if name not in TERMS:
            raise StrategyError(f"[strategy.mix] {name} is not a loss{nearest(name, TERMS)}", ("mix", name))
    return mix


Losses = Annotated[tuple[Term, ...], PlainValidator(_terms)]
Mix = Annotated[dict[str, Weight], AfterValidator(_known)]


@dataclass(frozen=True)
class ScoreStrategy:
    """One stage with the strategy's own loss, or `losses` in its place, and with the losses of `mix` added.

    `own` is the strategy's own loss. Options that it shares with the strategy, and those of losses in `mix`, are the
    strategy's keys; a loss in `losses` has its options beside its name.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = PAPER
    own: ClassVar[str]

    losses: Losses = ()
    """The losses that take the place of the strategy's own: tables with name, weight and options."""
    mix: Mix = field(default_factory=dict)
    """Losses that are added to the strategy's own: name = weight."""
    student_temperature: Positive = 1.0
    """The temperature that the student's scores are divided by."""
    teacher_temperature: Positive = 1.0
    """The temperature that the teacher's scores are divided by."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage. Raises ValueError where no loss has a weight, or losses have no examples in common."""
        terms = {term.name: term for term in self.losses or (self._with_own_options(self.own, 1.0),)}
        for name in [name for name in TERMS if name in self.mix]:
            term = terms.get(name) or self._with_own_options(name, 0.0)
            terms[name] = replace(term, weight=term.weight + self.mix[name])
        used = tuple(term for term in terms.values() if term.weight)
        if not used:
            raise ValueError("every loss has the weight 0; expected one above 0")
        shared = {one.name: getattr(self, one.name) for one in fields(Stage) if hasattr(self, one.name)}
        return [Stage("distil", used, examples_for(used), train, seed, **shared)]

    def _with_own_options(self, name: str, weight: float) -> Term:
        kind = TERMS[name]
        keys = {one.name for one in fields(kind)} & {one.name for one in fields(self)}
        return kind(weight=weight, **{key: getattr(self, key) for key in keys})


@STRATEGIES.register("margin_mse")
@dataclass(frozen=True)
class MarginMse(ScoreStrategy):
    """Distil the teacher's score margins between relevant and other passages, for any student.

    Equation (12): L = MSE(s⁺ - s⁻, t⁺ - t⁻) on triples: each positive with each of its negatives.
    Paper: Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), Margin-MSE. The teacher may be an ensemble, whose scores are averaged.
    Deviations: none in the loss. `mix` adds other losses to it, each with a weight, and `losses` replaces it; the paper
    does neither.
    Defaults: the paper's loss alone. Its batch size of 32, its learning rate of 7e-6 and its lengths of 30 and 200
    tokens are keys of the recipe.
    """

    own = "margin_mse"


@STRATEGIES.register("pointwise_mse")
@dataclass(frozen=True)
class PointwiseMse(ScoreStrategy):
    """Distil the teacher's scores themselves, for any student.

    Equation (13): L = MSE(s⁺, t⁺) + MSE(s⁻, t⁻) on triples; variant = "released_code" takes half of it.
    Paper: Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), table 2.
    Deviations: none in `paper`. `mix` adds other losses to it, each with a weight, and `losses` replaces it.
    score_offset is not in the paper. A dot product starts far from a cross-encoder's scores (43.7 against -1.0 with a
    MiniLM), so that a short training learns only their mean, and no order; score_offset = "teacher_mean" starts at that
    mean. The paper trains long enough to do without. It is for scores that start close together: a ColBERT's sums start
    far apart, and have to shrink first, which an offset of their mean prevents.
    Defaults: the paper's loss alone.
    """

    own = "pointwise_mse"

    score_offset: ScoreOffset = "none"
    """teacher_mean: add one number to all of the student's scores, so that their mean is the teacher's when training
    begins; it is measured once and saved with the model. none: add nothing."""
    variant: Variant = "paper"
    """The equations as the paper writes them (paper), or as its code computes them (released_code)."""


@STRATEGIES.register("weighted_ranknet")
@dataclass(frozen=True)
class WeightedRankNet(ScoreStrategy):
    """Learn the order of positives and negatives, each pair weighted by the teacher's margin, for any student.

    Equation (14): L = RankNet(s⁺ - s⁻) · |t⁺ - t⁻| on triples; variant = "released_code" keeps the margin's sign.
    Paper: Hofstätter et al., Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation
    (2020), table 2.
    Deviations: none in `paper`. `mix` adds other losses to it, each with a weight, and `losses` replaces it.
    Defaults: the paper's loss alone.
    """

    own = "weighted_ranknet"

    variant: Variant = "paper"
    """The equations as the paper writes them (paper), or as its code computes them (released_code)."""


@STRATEGIES.register("distil")
@dataclass(frozen=True)
class Distil(ScoreStrategy):
    """Distil with the losses that the recipe names, each with its weight and options.

    Equation: L = Σ weight · loss over `losses`, such as [{ name = "kl_divergence", student_temperature = 2.0 }].
    Training reads the simplest examples on which all of the losses can be computed: pairs, triples, lists or plain
    text.
    Papers: those of the losses. The default is the list-wise distillation of Hinton et al. (2015) and ColBERTv2 (2022).
    Deviations: none. `projection`, `layer_map` and `teacher_mode` matter only for losses of attention and hidden
    states.
    Defaults: the Kullback-Leibler divergence of each query's list alone, at temperature 1.
    """

    paper: ClassVar[str] = "ColBERTv2"
    own = "kl_divergence"

    projection: Projection = "shared"
    """What maps the student's hidden states to the teacher's width: one matrix for all layers (shared), one for each
    (per_state), or nothing, where the widths are equal (identity)."""
    layer_map: LayerMapping = "uniform"
    """Which teacher layer each student layer learns from: evenly spread ones (uniform), the last ones (last), or a list
    of their numbers, from 1."""
    teacher_mode: Mode = "eval"
    """Whether the teacher computes without dropout (eval) or with it (train)."""
    score_offset: ScoreOffset = "none"
    """teacher_mean: add one number to all of the student's scores, so that their mean is the teacher's when training
    begins; it is measured once and saved with the model. none: add nothing."""
    variant: Variant = "paper"
    """The equations as the paper writes them (paper), or as its code computes them (released_code)."""

"""What the strategies that learn from a teacher's scores have in common: losses to mix in, and their one stage."""

from dataclasses import dataclass, fields
from typing import Any

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRICT
from distilkit.strategies.internals import Weight
from distilkit.strategies.stage import Stage, Term, Variant
from distilkit.strategies.terms import TERMS

PAPER = "Margin-MSE"
OF_LISTS = ("lists", "scored_lists")
WITH_VARIANT = ("pointwise_mse", "weighted_ranknet")


@dataclass(frozen=True)
class Mix:
    """Weights of losses that are added to a strategy's own; one that reads lists makes the examples lists."""

    __pydantic_config__ = STRICT

    margin_mse: Weight = 0.0
    pointwise_mse: Weight = 0.0
    weighted_ranknet: Weight = 0.0
    kl_divergence: Weight = 0.0
    list_net: Weight = 0.0
    list_mle: Weight = 0.0
    lambda_rank: Weight = 0.0
    adr_mse: Weight = 0.0
    ranknet: Weight = 0.0
    list: Weight = 0.0


def score_stage(
    own: str, mix: Mix, variant: Variant, temperatures: tuple[float, float], train: TrainSettings, seed: int
) -> Stage:
    """Return the stage of a loss of scores at weight 1, with those mixed in.

    `temperatures` are the student's and the teacher's, of the Kullback-Leibler divergence.
    """
    weights = {own: 1.0}
    for field in fields(mix):
        weights[field.name] = weights.get(field.name, 0.0) + getattr(mix, field.name)
    terms = tuple(
        Term(name, weight, _options(name, variant, temperatures)) for name, weight in weights.items() if weight
    )
    lists = any(TERMS[term.name].reads in OF_LISTS for term in terms)
    return Stage("distil", terms, "lists" if lists else "triples", train, seed, variant)


def _options(name: str, variant: Variant, temperatures: tuple[float, float]) -> dict[str, Any]:
    if name in WITH_VARIANT:
        return {"variant": variant}
    student, teacher = temperatures
    return {"student_temperature": student, "teacher_temperature": teacher} if name == "kl_divergence" else {}

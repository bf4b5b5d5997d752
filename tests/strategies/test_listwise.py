"""listwise: its loss against float64 arithmetic, and the length of its lists."""

import math

import torch

from distilkit.losses import kl_divergence
from distilkit.recipe import read_table
from distilkit.settings import TrainSettings
from distilkit.strategies import parse_strategy, resolved_stages

STUDENT, TEACHER = [[1.2, -0.4, 0.3, 2.1], [0.5, 1.5, -0.5, 0.0]], [[4.1, -2.2, 1.3, 3.7], [2.5, 0.5, -1.0, 0.25]]


def softmax(scores: list[float], temperature: float) -> list[float]:
    powers = [math.exp(score / temperature) for score in scores]
    return [power / math.fsum(powers) for power in powers]


def test_the_loss_is_the_divergence_of_lists() -> None:
    (term,) = (
        parse_strategy("listwise(student_temperature=0.5, teacher_temperature=2.0)").stages(TrainSettings(), 1)[0].terms
    )
    lists = [(softmax(t, 2.0), softmax(s, 0.5)) for s, t in zip(STUDENT, TEACHER, strict=True)]
    expected = math.fsum(p * math.log(p / q) for ps, qs in lists for p, q in zip(ps, qs, strict=True)) / 2
    student, teacher = (torch.tensor(one, dtype=torch.float64) for one in (STUDENT, TEACHER))
    assert term.loss() is kl_divergence
    assert abs(term.loss()(student, teacher, **term.options).item() - expected) < 1e-10
    parts = [term.loss()(student[i : i + 1], teacher[i : i + 1], **term.options, normaliser=2) for i in range(2)]
    assert abs(sum(part.item() for part in parts) - expected) < 1e-10


def test_a_list_is_as_long_as_it_says_or_as_the_negatives() -> None:
    table = {"name": "x", "strategy": {"name": "listwise"}, "train": {"negatives": 5}}
    recipe, _ = read_table(table)
    assert [stage.ways for stage in resolved_stages(recipe)] == [6]
    table["strategy"] = {"name": "listwise", "list_length": 9}
    recipe, _ = read_table(table)
    (stage,) = resolved_stages(recipe)
    assert (stage.ways, stage.train.negatives, recipe.train.negatives) == (9, 8, 5)

"""minilm: relations in float64 against plain arithmetic, widths and heads that differ, micro-batches, padding."""

import math

import pytest
import torch
from torch import Tensor

from distilkit.losses import relation_kl
from distilkit.recipe import read_table
from distilkit.settings import TrainSettings
from distilkit.strategies import parse_strategy, resolved_stages

LENGTHS = [3, 5, 2]
MASK = (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).long()


def vectors(heads: int, size: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, heads, 5, size, dtype=torch.float64, generator=generator) for _ in range(3)]


STUDENT, TEACHER = vectors(2, 6, 1), vectors(4, 4, 2)


def relations(one: Tensor, text: int, heads: int, length: int) -> list[list[list[float]]]:
    """Return a text's relations, [head][token][token], in plain arithmetic."""
    rows = [
        [value for head in range(one.shape[1]) for value in one[text, head, token].tolist()] for token in range(length)
    ]
    width = len(rows[0]) // heads
    found = []
    for head in range(heads):
        cut = [row[head * width : (head + 1) * width] for row in rows]
        powers = [
            [math.exp(math.fsum(a * b for a, b in zip(x, y, strict=True)) / math.sqrt(width)) for y in cut] for x in cut
        ]
        found.append([[power / math.fsum(row) for power in row] for row in powers])
    return found


def by_hand(heads: int) -> float:
    total = 0.0
    for student, teacher in zip(STUDENT, TEACHER, strict=True):
        for text, length in enumerate(LENGTHS):
            ours, theirs = relations(student, text, heads, length), relations(teacher, text, heads, length)
            for q_head, p_head in zip(ours, theirs, strict=True):
                for q_row, p_row in zip(q_head, p_head, strict=True):
                    total += math.fsum(p * math.log(p / q) for p, q in zip(p_row, q_row, strict=True))
    return total / (heads * sum(LENGTHS))


@pytest.mark.parametrize("heads", [4, 2, 1])
def test_widths_and_heads_may_differ(heads: int) -> None:
    assert abs(relation_kl(STUDENT, TEACHER, MASK, heads).item() - by_hand(heads)) < 1e-10


def test_the_teachers_heads_by_default() -> None:
    assert relation_kl(STUDENT, TEACHER, MASK).item() == relation_kl(STUDENT, TEACHER, MASK, 4).item()


def test_micro_batches_and_padding_change_nothing() -> None:
    own = [one.clone().requires_grad_() for one in STUDENT]
    relation_kl(own, TEACHER, MASK).backward()
    cut = [one.clone().requires_grad_() for one in STUDENT]
    tokens = sum(LENGTHS)
    for text, length in enumerate(LENGTHS):
        sides = ([one[text : text + 1, :, :length] for one in side] for side in (cut, TEACHER))
        relation_kl(*sides, MASK[text : text + 1, :length], normaliser=tokens).backward()
    for one, other in zip(own, cut, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-10, atol=1e-12)


def test_heads_that_do_not_divide_a_width_are_refused() -> None:
    with pytest.raises(ValueError, match="5 relation heads do not divide a width of 12"):
        relation_kl(STUDENT, TEACHER, MASK, 5)


def test_stages() -> None:
    (distil,) = parse_strategy("minilm(weights={hard=0.0})").stages(TrainSettings(), 1)
    assert [term.name for term in distil.terms] == ["relation", "soft"]
    general, after = parse_strategy("minilm(general=true, relation_heads=8)").stages(TrainSettings(), 1)
    assert (general.examples, after.examples) == ("text", "pairs")
    assert general.terms[0] == after.terms[0]
    assert not general.trains_scores
    assert not after.uses_scores_alone


def test_without_labels_the_hard_loss_is_off() -> None:
    recipe, _ = read_table({"name": "x", "strategy": {"name": "minilm"}, "train": {"labels": "none"}})
    (distil,) = resolved_stages(recipe)
    assert [term.name for term in distil.terms] == ["relation", "soft"]

"""The losses of pairs against numbers of the released classes, in float64, and what holds of them for any input."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distilkit.losses import margin_mse, pointwise_mse, ranknet, weighted_ranknet
from distilkit.strategies.terms import TERMS

Loss = Callable[..., Tensor]

STUDENT = [2.0, 0.5, -1.0], [1.0, 1.5, -1.5]
TEACHER = [5.9, 3.2, 1.0], [2.3, -1.1, 2.5]
GOLDEN: list[tuple[Loss, dict[str, str], float]] = [
    (margin_mse, {}, 12.95),
    (pointwise_mse, {"variant": "released_code"}, 8.491666666666667),
    (pointwise_mse, {"variant": "paper"}, 16.983333333333334),
    (ranknet, {}, 0.7002001197388509),
    (weighted_ranknet, {"variant": "released_code"}, 2.021217285041267),
    (weighted_ranknet, {"variant": "paper"}, 2.4952942692213735),
]
ALL: list[Loss] = [margin_mse, pointwise_mse, ranknet, weighted_ranknet]
finite = st.floats(-20, 20)
rows = st.lists(st.tuples(finite, finite, finite, finite), min_size=1, max_size=6)


def scores(*, grad: bool = False) -> list[Tensor]:
    return [torch.tensor(one, dtype=torch.float64, requires_grad=grad) for one in (*STUDENT, *TEACHER)]


def columns(drawn: list[tuple[float, ...]]) -> list[Tensor]:
    return list(torch.tensor(drawn, dtype=torch.float64).T.contiguous())


@pytest.mark.parametrize(("loss", "options", "expected"), GOLDEN)
def test_golden_values(loss: Loss, options: dict[str, str], expected: float) -> None:
    assert math.isclose(loss(*scores(), **options).item(), expected, rel_tol=0, abs_tol=1e-10)


@pytest.mark.parametrize(("loss", "options", "expected"), GOLDEN)
def test_the_paper_is_the_default(loss: Loss, options: dict[str, str], expected: float) -> None:
    alike = math.isclose(loss(*scores()).item(), expected, rel_tol=0, abs_tol=1e-10)
    assert alike == (options.get("variant") != "released_code")


@pytest.mark.parametrize("loss", ALL)
def test_gradients(loss: Loss) -> None:
    inputs = scores(grad=True)
    assert torch.autograd.gradcheck(lambda *each: loss(*each), inputs[:2] + [one.detach() for one in inputs[2:]])


def test_gradients_of_the_released_code() -> None:
    for loss in (pointwise_mse, weighted_ranknet):
        assert torch.autograd.gradcheck(
            lambda *each, loss=loss: loss(*each, "released_code"), scores(grad=True)[:2] + scores()[2:]
        )


@settings(deadline=None, max_examples=30)
@given(rows, st.sampled_from(ALL), st.integers(1, 3))
def test_micro_batches_add_up(drawn: list[tuple[float, ...]], loss: Loss, size: int) -> None:
    whole = columns(drawn)
    parts = zip(*(column.split(size) for column in whole), strict=True)
    total = sum(loss(*part, normaliser=len(drawn)) for part in parts)
    torch.testing.assert_close(total, loss(*whole), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(rows, st.sampled_from(ALL), st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(drawn: list[tuple[float, ...]], loss: Loss, random: object) -> None:
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    torch.testing.assert_close(loss(*columns(shuffled)), loss(*columns(drawn)), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(rows, finite)
def test_margins_alone_count(drawn: list[tuple[float, ...]], shift: float) -> None:
    """What is added to both scores of a pair changes no loss but the pointwise one."""
    positive, negative, *teacher = columns(drawn)
    for loss in (margin_mse, ranknet, weighted_ranknet):
        moved = loss(positive + shift, negative + shift, *teacher)
        torch.testing.assert_close(moved, loss(positive, negative, *teacher), rtol=1e-9, atol=1e-9)
        moved = loss(positive, negative, *(one + shift for one in teacher))
        torch.testing.assert_close(moved, loss(positive, negative, *teacher), rtol=1e-9, atol=1e-9)


def test_the_student_of_its_own_teacher_loses_nothing() -> None:
    student = scores()[:2]
    assert margin_mse(*student, *student) == 0
    assert pointwise_mse(*student, *student) == 0


def test_the_signed_weight_rewards_an_inverted_pair() -> None:
    teacher = torch.tensor([0.0]), torch.tensor([1.0])
    right, inverted = (torch.tensor([gap]) for gap in (5.0, -5.0))
    zero = torch.zeros(1)
    assert (
        weighted_ranknet(inverted, zero, *teacher, "released_code")
        < weighted_ranknet(right, zero, *teacher, "released_code")
        < 0
    )
    assert weighted_ranknet(inverted, zero, *teacher) > weighted_ranknet(right, zero, *teacher) > 0


def test_half_precision_is_computed_in_float32() -> None:
    student, teacher = torch.tensor([300.0, 1.0]).half(), torch.tensor([0.25, 0.125]).half()
    for loss in ALL:
        value = loss(student, teacher, teacher, student)
        assert value.dtype == torch.float32
        assert value.isfinite()  # 300 squared is none of float16's numbers


def test_bad_input() -> None:
    one, two = torch.zeros(1), torch.zeros(2)
    for loss in ALL:
        with pytest.raises(ValueError, match="one shape"):
            loss(one, two, one, one)
    for loss in (margin_mse, pointwise_mse, weighted_ranknet):
        with pytest.raises(ValueError, match="one shape"):
            loss(two, two, two, one)
    for loss in (pointwise_mse, weighted_ranknet):
        with pytest.raises(ValueError, match="'paper' or 'released_code', not 'code'"):
            loss(one, one, one, one, "code")


def test_they_are_registered() -> None:
    assert [TERMS[name].loss() for name in ("margin_mse", "pointwise_mse", "ranknet", "weighted_ranknet")] == ALL

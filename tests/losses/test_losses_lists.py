"""The losses of lists: their equations on small lists, gradients, padding, unequal lengths, order of candidates."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distilkit.losses import (
    adr_mse,
    count_lists,
    kl_divergence,
    lambda_rank,
    list_mle,
    list_net,
    soft_cross_entropy,
)
from distilkit.strategies.terms import TERMS

Loss = Callable[..., Tensor]


def by_labels(student: Tensor, teacher: Tensor, mask: Tensor | None = None, **options: object) -> Tensor:
    """LambdaRank with labels, which are cut from the teacher's scores."""
    return lambda_rank(student, teacher, mask, labels=teacher.nan_to_num().floor().clamp(0, 4), **options)  # type: ignore[arg-type]


ALL: list[Loss] = [kl_divergence, list_net, list_mle, lambda_rank, adr_mse, by_labels]
KNOWN: list[Loss] = ALL[:-1]
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4)
seeds = st.integers(0, 9999)


def drawn(counts: list[int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return scores of student and teacher, both with ties among them, and the mask of lists of unequal lengths."""
    torch.manual_seed(seed)
    shape = len(counts), max(counts)
    mask = torch.arange(shape[1]) < torch.tensor(counts)[:, None]
    student, teacher = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64) * 2
    return (student * 4).round() / 4, teacher.round(), mask


# One list after the other, in plain Python: what the equations say.


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(one - max(scores)) for one in scores]
    return [one / sum(powers) for one in powers]


def plain_kl(student: list[float], teacher: list[float]) -> float:
    return sum(p * math.log(p / q) for p, q in zip(softmax(teacher), softmax(student), strict=True))


def plain_list_net(student: list[float], teacher: list[float]) -> float:
    return -sum(p * math.log(q) for p, q in zip(softmax(teacher), softmax(student), strict=True))


def plain_list_mle(student: list[float], teacher: list[float]) -> float:
    order = sorted(range(len(student)), key=lambda i: (-teacher[i], -student[i]))
    return -sum(math.log(softmax([student[k] for k in order[i:]])[0]) for i in range(len(order)))


def plain_ranks(scores: list[float]) -> list[float]:
    return [1 + sum(o > s for o in scores) + (sum(o == s for o in scores) - 1) / 2 for s in scores]


def plain_adr(student: list[float], teacher: list[float]) -> float:
    total = 0.0
    for i, rank in enumerate(plain_ranks(teacher)):
        smooth = 1 + sum(1 / (1 + math.exp(student[i] - s)) for j, s in enumerate(student) if j != i)
        total += (rank - smooth) ** 2 / math.log2(1 + rank)
    return total / len(student)


def plain_lambda(student: list[float], gains: list[float]) -> float:
    order = sorted(range(len(student)), key=lambda i: (-student[i], -gains[i]))
    rank = {i: place for place, i in enumerate(order, start=1)}
    best = sum(gain / math.log2(place + 1) for place, gain in enumerate(sorted(gains, reverse=True), start=1))
    total = 0.0
    for i, j in itertools.permutations(range(len(student)), 2):
        if gains[i] > gains[j]:
            change = (gains[i] - gains[j]) * (1 / math.log2(1 + rank[i]) - 1 / math.log2(1 + rank[j])) / best
            total += abs(change) * math.log1p(math.exp(student[j] - student[i]))
    return total


PLAIN: dict[Loss, Callable[[list[float], list[float]], float]] = {
    kl_divergence: plain_kl,
    list_net: plain_list_net,
    list_mle: plain_list_mle,
    adr_mse: plain_adr,
    lambda_rank: lambda student, teacher: plain_lambda(student, [1 / rank for rank in plain_ranks(teacher)]),
    by_labels: lambda student, teacher: plain_lambda(student, [2 ** min(max(one, 0), 4) - 1 for one in teacher]),
}


@settings(deadline=None, max_examples=60)
@given(lengths, seeds, st.sampled_from(ALL))
def test_the_equation_of_each_list(counts: list[int], seed: int, loss: Loss) -> None:
    student, teacher, mask = drawn(counts, seed)
    expected = [
        PLAIN[loss](student[row, :count].tolist(), teacher[row, :count].tolist()) for row, count in enumerate(counts)
    ]
    assert loss(student, teacher, mask).item() == pytest.approx(math.fsum(expected) / len(counts), rel=1e-10, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    lengths, seeds, st.sampled_from(ALL), st.integers(0, 4), st.sampled_from([0.0, 50.0, math.inf, -math.inf, math.nan])
)
def test_padding_changes_nothing(counts: list[int], seed: int, loss: Loss, more: int, filler: float) -> None:
    student, teacher, mask = drawn(counts, seed)
    student.requires_grad_()

    def pad(tensor: Tensor, value: float) -> Tensor:
        return torch.nn.functional.pad(tensor.masked_fill(~mask, value), (0, more, 0, 1), value=value)

    value = loss(student, teacher, mask)
    wider = loss(pad(student, filler), pad(teacher, -filler), pad(mask, False).bool())  # and a row of nothing else
    torch.testing.assert_close(wider, value, rtol=1e-12, atol=1e-12)
    (expected,), (found,) = torch.autograd.grad(value, student), torch.autograd.grad(wider, student)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert not found[~mask].any()


@settings(deadline=None, max_examples=60)
@given(lengths, seeds, st.sampled_from(ALL))
def test_the_order_of_candidates_does_not_matter(counts: list[int], seed: int, loss: Loss) -> None:
    student, teacher, mask = drawn(counts, seed)
    student.requires_grad_()
    columns = torch.randperm(mask.shape[1])
    value, other = loss(student, teacher, mask), loss(student[:, columns], teacher[:, columns], mask[:, columns])
    torch.testing.assert_close(other, value, rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(lengths, seeds, st.sampled_from(ALL))
def test_micro_batches_add_up(counts: list[int], seed: int, loss: Loss) -> None:
    student, teacher, mask = drawn([*counts, 1], seed)
    lists = count_lists(mask)
    assert lists == len(counts) + 1
    parts = [
        loss(
            student[row : row + 1, :count],
            teacher[row : row + 1, :count],
            mask[row : row + 1, :count],
            normaliser=lists,
        )
        for row, count in enumerate([*counts, 1])
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), loss(student, teacher, mask), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ALL)
def test_gradients(loss: Loss) -> None:
    torch.manual_seed(3)
    student = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 5, dtype=torch.float64) * 3
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0]])
    assert torch.autograd.gradcheck(lambda scores: loss(scores, teacher, mask), (student,))


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_nothing_but_padding_is_zero(loss: Loss, dtype: torch.dtype) -> None:
    student = torch.full((2, 3), math.nan, dtype=dtype, requires_grad=True)
    value = loss(student, torch.full((2, 3), math.inf, dtype=dtype), torch.zeros(2, 3))
    value.backward()
    assert value.item() == 0
    assert value.dtype == torch.float32
    assert student.grad is not None
    assert not student.grad.any()


@pytest.mark.parametrize("loss", KNOWN)
def test_far_scores_stay_finite(loss: Loss) -> None:
    student = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    value = loss(student, torch.tensor([[-1e4, 1e4, 0.0]]))
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("loss", ALL)
def test_a_list_that_agrees_loses_less(loss: Loss) -> None:
    teacher = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    assert loss(teacher, teacher) < loss(torch.zeros(1, 4), teacher) < loss(-3 * teacher, teacher)


@pytest.mark.parametrize("loss", ALL)
def test_equal_scores_still_learn(loss: Loss) -> None:
    student = torch.zeros(1, 3, requires_grad=True)
    loss(student, torch.tensor([[2.0, 1.0, 0.0]])).backward()
    assert student.grad is not None
    assert student.grad[0, 0] < 0 < student.grad[0, 2]


def test_kl_has_the_gradient_of_the_cross_entropy() -> None:
    student, teacher, _ = drawn([4, 4, 4], 0)
    student.requires_grad_()
    (one,) = torch.autograd.grad(kl_divergence(student, teacher, None, 2.0, 2.0), student)
    (other,) = torch.autograd.grad(soft_cross_entropy(student, teacher, temperature=2.0), student)
    torch.testing.assert_close(one, other)
    assert kl_divergence(student, student.detach()).item() == pytest.approx(0, abs=1e-15)


def test_kl_of_both_temperatures() -> None:
    student, teacher, mask = drawn([3, 2], 5)
    value = kl_divergence(student, teacher, mask, student_temperature=0.5, teacher_temperature=3.0)
    torch.testing.assert_close(value, kl_divergence(student / 0.5, teacher / 3.0, mask))


def test_the_slope_and_the_temperature() -> None:
    student, teacher, mask = drawn([4, 3], 2)
    torch.testing.assert_close(adr_mse(student, teacher, mask, temperature=0.5), adr_mse(2 * student, teacher, mask))
    torch.testing.assert_close(lambda_rank(student, teacher, mask, sigma=2.0), lambda_rank(2 * student, teacher, mask))


def test_sharp_ranks_are_the_ranks() -> None:
    scores = torch.tensor([[0.3, 0.1, 0.2]])
    assert adr_mse(scores, scores, temperature=1e-3).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", KNOWN)
def test_bad_shapes(loss: Loss) -> None:
    with pytest.raises(ValueError, match="one shape"):
        loss(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="one shape"):
        loss(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(2, 2))
    with pytest.raises(ValueError, match="one shape"):
        loss(torch.zeros(3), torch.zeros(3))


def test_they_are_registered() -> None:
    assert [TERMS[loss.__name__].loss() for loss in KNOWN] == KNOWN

"""What holds of the losses for any input: padding, number formats, gradients, and errors that say what is wrong."""

import doctest
import importlib
import pkgutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import distilkit.losses
from distilkit.errors import UserError
from distilkit.losses import (
    attention_mse,
    count_pairs,
    count_tokens,
    hidden_mse,
    list_cross_entropy,
    soft_cross_entropy,
)
from distilkit.losses.tensors import squared_error
from distilkit.strategies.terms import TERMS

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(distilkit.losses.__path__)])
def test_examples_of_the_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"distilkit.losses.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_loss_has_an_example() -> None:
    assert all(">>>" in (TERMS[name].loss().__doc__ or "") for name in TERMS)
    assert {*TERMS} >= {"attention", "hidden", "embedding", "soft", "hard", "list"}
    with pytest.raises(UserError, match="did you mean 'attention'"):
        TERMS["attentoin"]


def pad(tensor: Tensor, axes: int, more: int, filler: float) -> Tensor:
    """Widen the axes of length L, the last ones of scores and the one before the last of states."""
    widths = (0, more, 0, more) if axes == 2 else (0, 0, 0, more)
    return torch.nn.functional.pad(tensor, widths, value=filler)


@settings(deadline=None, max_examples=40)
@given(lengths, st.integers(0, 5), st.sampled_from([0.0, 7.5, float("inf"), float("nan")]), st.integers(0, 99))
def test_padding_changes_nothing(counts: list[int], more: int, filler: float, seed: int) -> None:
    torch.manual_seed(seed)
    longest = max(counts)
    mask = torch.arange(longest) < torch.tensor(counts)[:, None]
    padded = torch.arange(longest + more) < torch.tensor(counts)[:, None]
    cases: list[tuple[Callable[..., Tensor], int, tuple[int, ...]]] = [
        (attention_mse, 2, (2, len(counts), 3, longest, longest)),
        (hidden_mse, 1, (2, len(counts), longest, 5)),
    ]
    for loss, axes, shape in cases:
        student = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        teacher = torch.randn(shape, dtype=torch.float64)
        value = loss(student, teacher, mask)
        wider = loss(pad(student, axes, more, filler), pad(teacher, axes, more, -filler), padded)
        torch.testing.assert_close(wider, value, rtol=1e-12, atol=1e-12)
        (gradient,) = torch.autograd.grad(value, student, retain_graph=True)
        (same,) = torch.autograd.grad(wider, student)
        torch.testing.assert_close(same, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), -float("inf"), torch.finfo(torch.float32).min])
def test_garbage_at_padding_reaches_neither_loss_nor_gradient(garbage: float) -> None:
    pairs = MASK[:, None, :, None] * MASK[:, None, None, :]
    student = torch.randn(2, 3, 4, 4).masked_fill(pairs == 0, garbage).requires_grad_()
    teacher = torch.randn(2, 3, 4, 4).masked_fill(pairs == 0, garbage)
    value = attention_mse([student], [teacher], MASK)
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()
    assert not (student.grad * (1 - pairs)).any()


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), torch.finfo(torch.float32).min])
def test_garbage_at_padded_keys_is_zeroed_in_the_released_code_too(garbage: float) -> None:
    keys = MASK[:, None, None, :] == 0
    student = torch.randn(2, 3, 4, 4).masked_fill(keys, garbage).requires_grad_()
    value = attention_mse([student], [torch.randn(2, 3, 4, 4)], MASK, "released_code")
    value.backward()
    assert value.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_released_code_takes_any_very_low_score_for_padding() -> None:
    mask = torch.ones(1, 2)
    student = torch.tensor([[[[-150.0, 1.0], [1.0, 1.0]]]], requires_grad=True)
    teacher = torch.full((1, 1, 2, 2), 2.0)
    value = attention_mse([student], [teacher], mask, "released_code")
    assert value.item() == pytest.approx((4 + 3) / 4)
    assert attention_mse([student], [teacher], mask).item() == pytest.approx((152**2 + 3) / 4)
    value.backward()
    assert student.grad is not None
    assert student.grad[0, 0, 0, 0] == 0


def test_mean_is_taken_per_layer_and_layers_are_summed() -> None:
    ones = torch.ones(3, 2, 5, 4, 4)
    assert attention_mse(ones, 3 * ones, MASK).item() == pytest.approx(12)
    states = torch.ones(3, 2, 4, 6)
    assert hidden_mse(states, 3 * states, MASK).item() == pytest.approx(12)


@pytest.mark.parametrize("variant", ["paper", "released_code"])
def test_bfloat16_is_computed_in_float32(variant: str) -> None:
    torch.manual_seed(0)
    student, teacher = (torch.randn(1, 2, 4, 4, 4).bfloat16() for _ in range(2))
    student.requires_grad_()
    value = attention_mse(student, teacher, MASK, variant)  # type: ignore[arg-type]
    exact = attention_mse(student.double(), teacher.double(), MASK, variant)  # type: ignore[arg-type]
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(exact.item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(value, student)
    (expected,) = torch.autograd.grad(exact, student)
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-4)
    logits = torch.randn(3, 2).bfloat16()
    assert soft_cross_entropy(logits, logits).dtype == torch.float32
    assert soft_cross_entropy(logits, logits) == soft_cross_entropy(logits.float(), logits.float())


def test_many_small_terms_are_not_lost_in_float32() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 12, 128, 128), torch.randn(8, 12, 128, 128)
    exact = squared_error(student.double(), teacher.double())
    assert squared_error(student, teacher).item() == pytest.approx(exact.item(), rel=1e-6)


def test_gradients_of_both_sides() -> None:
    torch.manual_seed(0)
    student, teacher = (torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    dropped = torch.rand(2, 3, 4) < 0.3
    assert torch.autograd.gradcheck(squared_error, (student, teacher, dropped))
    assert torch.autograd.gradcheck(squared_error, (student, teacher.detach(), None))


def test_the_loss_keeps_one_number_per_score() -> None:
    student = torch.randn(2, 3, 4, 4).bfloat16().requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        attention_mse([student], [torch.randn(2, 3, 4, 4).bfloat16()], MASK)
    large = [tensor for tensor in kept if tensor.numel() >= student.numel()]
    assert [tensor.dtype for tensor in large] == [torch.bfloat16]


def test_list_is_the_cross_entropy_of_the_candidates() -> None:
    scores = torch.tensor([[2.0, 1.0, 50.0], [0.0, 3.0, 1.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    first = -torch.log_softmax(scores[0, :2], 0)[0]
    second = -torch.log_softmax(scores[1], 0)
    torch.testing.assert_close(list_cross_entropy(scores, mask), (first + second[0]) / 2)
    labels = torch.tensor([0, 1])
    torch.testing.assert_close(list_cross_entropy(scores, mask, labels), (first + second[1]) / 2)
    torch.testing.assert_close(list_cross_entropy(scores[1:]), second[0])


def test_a_list_of_padding_does_not_count() -> None:
    scores = torch.tensor([[2.0, 1.0], [5.0, 7.0]], requires_grad=True)
    mask = torch.tensor([[1, 1], [0, 0]])
    value = list_cross_entropy(scores, mask)
    torch.testing.assert_close(value, list_cross_entropy(scores[:1]))
    value.backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert not scores.grad[1].any()
    assert list_cross_entropy(scores, torch.zeros(2, 2)).item() == 0


def test_counts() -> None:
    assert (count_pairs(MASK), count_tokens(MASK)) == (13, 5)
    assert (count_pairs(MASK, "released_code"), count_tokens(MASK, "released_code")) == (32, 8)


def test_errors_say_what_is_wrong() -> None:
    states = torch.zeros(1, 2, 4, 6)
    with pytest.raises(ValueError, match="as many heads in the student as in the teacher, not 2 and 3"):
        attention_mse(torch.zeros(1, 2, 2, 4, 4), torch.zeros(1, 2, 3, 4, 4), MASK)
    with pytest.raises(ValueError, match="projected to the teacher's size first: they have 6 and 8 dimensions"):
        hidden_mse(states, torch.zeros(1, 2, 4, 8), MASK)
    with pytest.raises(ValueError, match="1 layers of the student cannot be mapped to 2"):
        hidden_mse(states, torch.zeros(2, 2, 4, 6), MASK)
    with pytest.raises(ValueError, match="one shape"):
        hidden_mse(states, torch.zeros(1, 2, 5, 6), MASK)
    with pytest.raises(ValueError, match="variant must be"):
        hidden_mse(states, states, MASK, "code")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="variant must be"):
        hidden_mse(states, states, MASK, "code", normaliser=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="reduction must be"):
        soft_cross_entropy(torch.zeros(1, 2), torch.zeros(1, 2), reduction="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one shape"):
        soft_cross_entropy(torch.zeros(1, 2), torch.zeros(1, 1))


@pytest.mark.parametrize(("score", "counts"), [(-100.0, False), (-99.99, True), (-100.01, False)])
def test_the_released_code_takes_scores_from_minus_100_down_for_padding(score: float, counts: bool) -> None:
    student, teacher = torch.zeros(1, 1, 1, 2, 2), torch.zeros(1, 1, 1, 2, 2)
    teacher[0, 0, 0, 0, 1] = score
    loss = attention_mse(student, teacher, torch.ones(1, 2), variant="released_code")
    assert loss.item() == pytest.approx(score**2 / 4 if counts else 0.0)

"""Losses against the teacher's logits: what holds of all three kinds, whatever the logits."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from distilkit.losses.logits import logit_mse, soft_cross_entropy, soft_kl_divergence, soft_loss

KINDS = ("ce", "kl", "logit_mse")
seeds = st.integers(0, 999)
temperatures = st.sampled_from([0.5, 1.0, 5.0, 10.0])


def logits(seed: int, examples: int = 6, classes: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(examples, classes, generator=generator, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(), teacher


def gradient(loss: Tensor, student: Tensor) -> Tensor:
    return torch.autograd.grad(loss, student)[0]


@settings(deadline=None, max_examples=30)
@given(seeds, temperatures, st.sampled_from(["batchmean", "mean"]), st.booleans())
def test_cross_entropy_and_divergence_have_one_gradient(seed: int, t: float, reduction: Any, squared: bool) -> None:
    student, teacher = logits(seed)
    options = (t, reduction, squared)
    ce, kl = soft_cross_entropy(student, teacher, *options), soft_kl_divergence(student, teacher, *options)
    assert kl >= 0
    torch.testing.assert_close(gradient(ce, student), gradient(kl, student), rtol=1e-9, atol=1e-12)
    entropy = soft_cross_entropy(teacher, teacher, *options)
    torch.testing.assert_close(ce - kl, entropy, rtol=1e-9, atol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(1, 5), st.sampled_from(KINDS), st.sampled_from(["batchmean", "mean"]))
def test_a_batch_may_be_cut_up(seed: int, cut: int, kind: Any, reduction: Any) -> None:
    student, teacher = logits(seed)
    options = {"kind": kind, "temperature": 2.0, "reduction": reduction, "t_squared": True}
    whole = soft_loss(student, teacher, **options)
    parts = [soft_loss(student[rows], teacher[rows], **options, normaliser=6) for rows in (slice(cut), slice(cut, 6))]
    torch.testing.assert_close(parts[0] + parts[1], whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_student_has_nothing_to_learn(kind: Any) -> None:
    _, teacher = logits(1)
    student = teacher.clone().requires_grad_()
    loss = soft_loss(student, teacher, kind=kind, temperature=2.0)
    assert gradient(loss, student).abs().max() < 1e-12
    assert (loss < 1e-12) == (kind != "ce")


def test_the_squared_temperature_keeps_the_size_of_the_gradient() -> None:
    student, teacher = logits(2)
    sizes = {t: gradient(soft_loss(student, teacher, temperature=t), student).norm() for t in (50.0, 100.0)}
    assert sizes[100.0] / sizes[50.0] == pytest.approx(1 / 4, rel=0.05)
    kept = {
        t: gradient(soft_loss(student, teacher, temperature=t, t_squared=True), student).norm() for t in (50.0, 100.0)
    }
    assert kept[100.0] / kept[50.0] == pytest.approx(1, rel=0.05)


def test_the_error_of_logits_reads_no_temperature() -> None:
    student, teacher = logits(3)
    expected = ((student - teacher) ** 2).mean()
    for options in ({}, {"temperature": 9.0, "t_squared": True, "reduction": "batchmean"}):
        torch.testing.assert_close(soft_loss(student, teacher, kind="logit_mse", **options), expected)


def test_half_precision_is_widened() -> None:
    student, teacher = (one.detach().bfloat16() for one in logits(4))
    for kind in KINDS:
        found = soft_loss(student, teacher, kind=kind)  # type: ignore[arg-type]
        assert found.dtype == torch.float32
        assert found == soft_loss(student.float(), teacher.float(), kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "mse"}, "kind must be 'ce', 'kl' or 'logit_mse', not 'mse'"),
        ({"kind": "kl", "reduction": "sum"}, "reduction must be 'batchmean' or 'mean', not 'sum'"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        soft_loss(torch.zeros(1, 2), torch.zeros(1, 2), **options)


@pytest.mark.parametrize("loss", [soft_kl_divergence, logit_mse])
def test_shapes_must_agree(loss: Any) -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        loss(torch.zeros(1, 2), torch.zeros(1, 1))

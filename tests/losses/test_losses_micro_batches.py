"""A batch cut into length-sorted micro-batches has the loss and the gradient of the one padded batch."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from distilkit.losses import (
    attention_mse,
    count_pairs,
    count_tokens,
    embedding_mse,
    hard_cross_entropy,
    hidden_mse,
    list_cross_entropy,
    soft_cross_entropy,
)

LENGTHS = torch.tensor([3, 9, 5, 2, 7, 7])
MASK = (torch.arange(9) < LENGTHS[:, None]).long()
EXAMPLES = len(LENGTHS)


def micro_batches() -> list[tuple[Tensor, int]]:
    """Return the rows and the padded length of each micro-batch."""
    order = LENGTHS.argsort()
    return [(rows, int(LENGTHS[rows].max())) for rows in order.split(2)]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def assert_alike(student: Tensor, whole: Callable[[Tensor], Tensor], parts: list[Callable[[Tensor], Tensor]]) -> None:
    """Compare value and gradient of the loss of the whole batch with the sum over the micro-batches."""
    results = []
    for terms in ([whole], parts):
        leaf = student.clone().requires_grad_()
        value = torch.stack([term(leaf) for term in terms]).sum()
        value.backward()
        results.append((value.detach(), leaf.grad))
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_attention() -> None:
    torch.manual_seed(0)
    student, teacher = random(2, EXAMPLES, 4, 9, 9), random(2, EXAMPLES, 4, 9, 9)
    pairs = count_pairs(MASK)
    assert pairs == (LENGTHS**2).sum()

    def part(rows: Tensor, length: int) -> Callable[[Tensor], Tensor]:
        def cut(scores: Tensor) -> Tensor:
            return scores[:, rows, :, :length, :length]

        return lambda scores: attention_mse(cut(scores), cut(teacher), MASK[rows, :length], normaliser=pairs)

    assert_alike(student, lambda s: attention_mse(s, teacher, MASK), [part(*cut) for cut in micro_batches()])


@pytest.mark.parametrize("loss", [hidden_mse, embedding_mse])
def test_states(loss: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    shape = (3, EXAMPLES, 9, 8) if loss is hidden_mse else (EXAMPLES, 9, 8)
    student, teacher = random(*shape), random(*shape)
    tokens = count_tokens(MASK)
    assert tokens == LENGTHS.sum()

    def part(rows: Tensor, length: int) -> Callable[[Tensor], Tensor]:
        def cut(states: Tensor) -> Tensor:
            return states[..., rows, :length, :]

        return lambda states: loss(cut(states), cut(teacher), MASK[rows, :length], normaliser=tokens)

    assert_alike(student, lambda s: loss(s, teacher, MASK), [part(*cut) for cut in micro_batches()])


@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_soft(reduction: str) -> None:
    torch.manual_seed(0)
    student, teacher = random(EXAMPLES, 2), random(EXAMPLES, 2)

    def part(rows: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda s: soft_cross_entropy(s[rows], teacher[rows], 2.0, reduction, normaliser=EXAMPLES)  # type: ignore[arg-type]

    parts = [part(rows) for rows, _ in micro_batches()]
    assert_alike(student, lambda s: soft_cross_entropy(s, teacher, 2.0, reduction), parts)  # type: ignore[arg-type]


def test_hard() -> None:
    torch.manual_seed(0)
    student, labels = random(EXAMPLES, 2), torch.tensor([0, 1, 1, 0, 0, 1])

    def part(rows: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda s: hard_cross_entropy(s[rows], labels[rows], normaliser=EXAMPLES)

    assert_alike(student, lambda s: hard_cross_entropy(s, labels), [part(rows) for rows, _ in micro_batches()])


def test_list() -> None:
    torch.manual_seed(0)
    student = random(EXAMPLES, 9)

    def part(rows: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda s: list_cross_entropy(s[rows], MASK[rows], normaliser=EXAMPLES)

    assert_alike(student, lambda s: list_cross_entropy(s, MASK), [part(rows) for rows, _ in micro_batches()])

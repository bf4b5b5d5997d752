"""Gradients of the rows that were read train as gradients of whole tables do."""

from pathlib import Path

import pytest
import torch
from tiny_training import FINE_TUNE, SIMPLIFIED, stage_of, trainer_of, weights_of
from torch import nn

from distilkit.training import optimizer
from distilkit.training.optimizer import SparseTables


def tables(module: nn.Module) -> list[nn.Embedding]:
    return [table for table in module.modules() if isinstance(table, nn.Embedding)]


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
@pytest.mark.parametrize("optim", ["adamw", "bert_adam"])
def test_training_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, strategy: str, optim: str) -> None:
    found = []
    for large in (10_000, 1):
        monkeypatch.setattr(optimizer, "LARGE", large)
        trainer = trainer_of(stage_of(strategy, max_steps=3, optim=optim), tmp_path / str(large))
        trainer.train()
        assert {table.sparse for table in tables(trainer.objective.student)} == {large == 1}
        found.append(weights_of(trainer))
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-6)


def test_a_table_that_is_read_and_multiplied_gets_both_gradients() -> None:
    """As the table of words does where masked words are predicted."""
    gradients = []
    for large in (False, True):
        torch.manual_seed(0)
        table = nn.Embedding(12_000 if large else 50, 4)
        with torch.no_grad():
            table.weight[:50] = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
        rows = SparseTables(table)
        assert table.sparse is large
        for ids in (torch.tensor([1, 2, 2]), torch.tensor([2, 7, 9])):
            (table(ids) @ table.weight[:50].T).square().sum().backward()
        rows.fill()
        assert table.weight.grad is not None
        assert not table.weight.grad.is_sparse
        gradients.append(table.weight.grad[:50])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_nothing_is_left_of_the_rows_of_the_step_before() -> None:
    table = nn.Embedding(12_000, 4)
    rows = SparseTables(table)
    for ids, scale in ((torch.tensor([1, 2, 2]), 3.0), (torch.tensor([2, 9]), 1.0), (torch.tensor([4]), 2.0)):
        (table(ids) * scale).sum().backward()
        rows.fill()
        gradient = table.weight.grad
        assert gradient is not None
        expected = torch.zeros(12_000, 4).index_add_(0, ids, torch.full((len(ids), 4), scale))
        torch.testing.assert_close(gradient, expected, rtol=0, atol=0)
        gradient.mul_(0.5)  # as clipping does
        table.weight.grad = None


@pytest.mark.parametrize("scale", [0.001, 3.0])
def test_gradients_are_clipped_as_torch_clips_them(scale: float) -> None:
    def model() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(12_000, 4), nn.Linear(4, 2))

    own, other = model(), model()
    rows = SparseTables(own)
    for one in (own, other):
        for ids in (torch.tensor([1, 2, 2]), torch.tensor([2, 9])):
            (one(ids) * scale).square().sum().backward()
    norm = nn.utils.clip_grad_norm_(other.parameters(), 1.0)
    assert (norm > 1.0) == (scale > 1.0)
    rows.clip(1.0)
    rows.fill()
    gradients = ([one.grad for one in part.parameters()] for part in (own, other))
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-12)

"""Learning rates are those of transformers' schedules of the same names."""

from typing import Any

import pytest
import torch
from transformers import get_scheduler

from distilkit.training.optimizer import learning_rate_factor, warmup_steps


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "constant_with_warmup"])
@pytest.mark.parametrize(("warmup", "total"), [(0, 7), (3, 20), (20, 20), (1, 1), (5, 3)])
def test_factors_are_those_of_transformers(kind: str, warmup: int, total: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs: Any = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=total)
    expected = [theirs.lr_lambdas[0](step) for step in range(total)]
    found = [learning_rate_factor(kind, step, warmup, total) for step in range(total)]
    assert found == pytest.approx(expected, rel=0, abs=1e-15)


@pytest.mark.parametrize(("ratio", "total", "expected"), [(0.0, 10, 0), (0.1, 10, 1), (0.1, 11, 2), (1.0, 7, 7)])
def test_warm_up_is_rounded_up(ratio: float, total: int, expected: int) -> None:
    assert warmup_steps(ratio, total) == expected

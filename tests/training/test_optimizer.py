"""BertAdam against steps of the released code, written down as they came out of it."""

import pytest
import torch

from distilkit.training.optimizer import BertAdam, learning_rate_factor, warmup_steps

CONSTANT = [[0.6827888997747977, -2.314215266508424], [0.2571627827412021, -2.736848339331681]]
WARM_UP = [[1.0, -2.0], [0.5740566718661791, -2.422947288189765], [0.13353887519900365, -2.860804430186063]]


def walk(kind: str, steps: int, total: int = 10, warmup: float = 0.1, **options: float) -> list[list[float]]:
    """Return the parameters after each step with a gradient that stays the same."""
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    settings = {"lr": 0.1, "weight_decay": 0.01, "max_grad_norm": 1.0, **options}
    optimizer = BertAdam([parameter], **settings)
    found = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * learning_rate_factor(kind, step, warmup_steps(warmup, total), total)
        parameter.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
        optimizer.step()
        found.append(parameter.tolist())
    return found


@pytest.mark.parametrize(("kind", "expected"), [("constant", CONSTANT), ("linear", WARM_UP)])
def test_steps_of_the_released_code(kind: str, expected: list[list[float]]) -> None:
    for found, wanted in zip(walk(kind, len(expected)), expected, strict=True):
        assert found == pytest.approx(wanted, rel=0, abs=1e-10)


@pytest.mark.parametrize("options", [{"max_grad_norm": 0.0}, {"weight_decay": 0.0}, {"eps": 1e-2}])
def test_what_is_left_out_shows(options: dict[str, float]) -> None:
    assert walk("constant", 2, **options)[1] != pytest.approx(CONSTANT[1], rel=0, abs=1e-10)


def test_adamw_is_another_optimiser() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.01, eps=1e-6)
    parameter.grad = torch.tensor([0.6, 0.8], dtype=torch.float64)
    optimizer.step()
    assert parameter.tolist() != pytest.approx(CONSTANT[0], rel=0, abs=1e-2)  # with its correction of the bias


def test_multipliers_of_the_released_code() -> None:
    found = [learning_rate_factor("linear", step, warmup_steps(0.1, 20), 20) for step in range(21)]
    assert found[:5] == pytest.approx([0, 0.5, 1, 0.944444, 0.888889], abs=5e-7)
    assert found[-2:] == pytest.approx([0.055556, 0], abs=5e-7)
    assert found[2:] == pytest.approx([(20 - step) / 18 for step in range(2, 21)], rel=0, abs=1e-15)


def test_every_tensor_is_clipped_on_its_own() -> None:
    large, small = (torch.nn.Parameter(torch.zeros(2, dtype=torch.float64)) for _ in range(2))
    optimizer = BertAdam([large, small], lr=1.0)
    large.grad, small.grad = (torch.tensor(values, dtype=torch.float64) for values in ([30, 40], [0.3, 0.4]))
    optimizer.step()
    moments = [optimizer.state[parameter]["exp_avg"].tolist() for parameter in (large, small)]
    assert moments[0] == pytest.approx([0.06, 0.08], rel=1e-6)
    assert moments[1] == pytest.approx([0.03, 0.04], rel=1e-9)  # the first was cut to a norm of 1, this one is below
    assert large.grad.tolist() == [30.0, 40.0]  # what a caller sees of it stays


def test_parameters_without_a_gradient_are_left_alone() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = BertAdam([parameter], lr=1.0)
    assert optimizer.step(lambda: 3.0) == 3.0
    assert torch.equal(parameter, torch.ones(2))
    assert not optimizer.state

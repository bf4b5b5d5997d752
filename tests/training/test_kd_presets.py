"""The presets of standard knowledge distillation, as strategies, against numbers of their authors' code."""

from typing import Any

import pytest
import torch
from filled_models import filled_bert
from tiny_training import stage_of
from torch import Tensor, nn

from distilkit.models.batch import TokenBatch
from distilkit.models.cat import CatOutputs
from distilkit.strategies.term_inputs import Counts
from distilkit.training.objective import Objective
from distilkit.training.step_loader import LengthBucket

IDS = [[2, 5, 9, 3, 7, 11, 3, 0, 0, 0], [2, 6, 3, 8, 12, 13, 14, 3, 0, 0]]
TYPES = [[0, 0, 0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 1, 0, 0]]
MASK = [[1] * 7 + [0] * 3, [1] * 8 + [0] * 2]
BATCH = TokenBatch(torch.tensor(IDS), torch.tensor(MASK), torch.tensor(TYPES))

# Simplified TinyBERT's code, Sun et al.'s code, Hinton et al.; their loss by temperature.
PRESETS = {
    'reduction="mean"': {1: 0.3275611145171915, 5: 0.38043770690472756, 10: 0.383633985864396},
    'soft="kl", reduction="mean", t_squared=true': {
        1: 0.2580362612429853,
        5: 0.29972568457593507,
        10: 0.3021706277440227,
    },
    "t_squared=true": {1: 0.44366974452030217, 5: 8.660713604046416, 10: 34.647752754577105},
}


class Fixed(nn.Module):
    """A ranker with these class logits, whatever it reads."""

    num_layers = 1

    def __init__(self, logits: list[list[float]]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward_internals(self, *_: Any, **options: Any) -> CatOutputs:
        self.head = options["head"]
        return CatOutputs(self.logits)

    def class_logits(self, logits: Tensor) -> Tensor:
        return logits


def losses(strategy: str) -> dict[str, float]:
    stage = stage_of(strategy)
    student, teacher = Fixed([[1, -0.5], [0.2, 0.3]]), Fixed([[2, -1], [-0.5, 1.5]])
    objective = Objective(stage, student, teacher, None, None)
    found = objective([LengthBucket(BATCH, torch.tensor([0, 1]), torch.arange(2))], 1, Counts(2, 2, 15, 113))
    assert student.head == teacher.head == stage.head
    return {name: value.item() for name, value in found.items()}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("temperature", [1, 5, 10])
def test_presets(preset: str, temperature: int) -> None:
    found = losses(f"standard_kd({preset}, temperature={temperature}.0)")
    assert found["hard"] == pytest.approx(0.4229049690281617, rel=0, abs=1e-10)
    assert found["loss"] == pytest.approx(PRESETS[preset][temperature], rel=0, abs=1e-10)
    default = losses(f"standard_kd(temperature={temperature}.0)")["loss"]
    assert (default == pytest.approx(found["loss"], rel=0, abs=1e-10)) == (
        preset == "t_squared=true" and temperature == 1
    )


def test_the_released_code_is_its_own_preset() -> None:
    for temperature, expected in PRESETS['reduction="mean"'].items():
        found = losses(f'standard_kd(variant="released_code", temperature={temperature}.0)')
        assert found["loss"] == pytest.approx(expected, rel=0, abs=1e-10)
    assert stage_of('standard_kd(variant="released_code")').head == "relu"
    assert stage_of("standard_kd").head == "plain"


def test_alpha_mixes() -> None:
    soft, hard = (losses(f"standard_kd(alpha={alpha})")["loss"] for alpha in (1.0, 0.0))
    assert losses("standard_kd(alpha=0.2)")["loss"] == pytest.approx(0.2 * soft + 0.8 * hard, rel=0, abs=1e-12)
    assert losses('standard_kd(alpha=1.0, soft="logit_mse")')["loss"] == pytest.approx(0.795, rel=0, abs=1e-10)


def test_standard_kd_on_the_released_codes_models() -> None:
    def total(strategy: str) -> float:
        objective = Objective(stage_of(strategy), filled_bert(2, 8), filled_bert(4, 16), None, None).eval()
        batch = LengthBucket(BATCH, torch.tensor([1, 0]), torch.arange(2))
        return objective([batch], 1, Counts(2, 2, 15, 113))["loss"].item()

    assert total('standard_kd(variant="released_code")') == pytest.approx(0.5180542742667498, rel=0, abs=1e-10)
    assert total("standard_kd") != pytest.approx(0.5180542742667498, rel=0, abs=1e-3)
    assert total('standard_kd(reduction="mean")') != pytest.approx(0.5180542742667498, rel=0, abs=1e-3)

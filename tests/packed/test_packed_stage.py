"""Which stages are trained without padding."""

import pytest
from test_packed_encoder import tiny

from distilkit.settings import TrainSettings
from distilkit.strategies import Stage, parse_strategy
from distilkit.training.objective import packs


def stage_of(strategy: str) -> Stage:
    return parse_strategy(strategy).stages(TrainSettings(), 1)[-1]


@pytest.mark.parametrize(
    ("strategy", "student", "teacher", "expected"),
    [
        ("simplified_tinybert", "bert", "bert", True),
        ("simplified_tinybert", "distilbert", "bert", True),
        ("simplified_tinybert", "bert", "electra", False),
        ("simplified_tinybert", "electra", "bert", False),
        ('simplified_tinybert(variant="released_code")', "bert", "bert", False),
        ("fine_tune", "bert", None, True),
        ("fine_tune", "electra", None, False),
        ('standard_kd(variant="released_code")', "bert", "bert", True),
        ('standard_kd(variant="released_code")', "distilbert", "bert", False),
    ],
)
def test_what_packs(strategy: str, student: str, teacher: str | None, expected: bool) -> None:
    assert packs(stage_of(strategy), tiny(student), None if teacher is None else tiny(teacher)) is expected

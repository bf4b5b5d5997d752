"""What an unfinished scoring was started for is taken from a whole plan alone."""

import json
from pathlib import Path

import pytest

from distilkit.manifest import sealed
from distilkit.scoring.job import _plan

PLAN = {"batch_size": 8, "teachers": [{"weights": "0"}]}


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\0\0", json.dumps({**sealed(PLAN), "batch_size": 9})])
def test_a_damaged_plan_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    assert _plan(tmp_path / "plan.json") == {}
    assert _plan(tmp_path / "gone.json") == {}


@pytest.mark.parametrize("plan", [PLAN, sealed(PLAN)])
def test_a_whole_plan_says_what_was_asked(tmp_path: Path, plan: dict[str, object]) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert _plan(tmp_path / "plan.json") == PLAN

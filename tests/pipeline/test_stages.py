"""Stages within runs: each has its own precision, and what one run trained another may choose by its own measures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.pipeline.request import Request
from distilkit.pipeline.run import execute
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.recipe import load_with_source

Run = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tiny_recipe: Path) -> Run:
    """Return a function that runs the tiny recipe with some keys changed and returns the run's folder."""

    def finish(runs: Path, *overrides: str) -> Path:
        recipe, source = load_with_source(tiny_recipe, ["twin.budget=none", *overrides])
        folder = execute(Request(recipe, source, runs), quiet=True)
        assert folder is not None
        return folder.path

    return finish


def grid(folder: Path) -> Any:
    return json.loads((folder / "grid.json").read_text())


def test_stages_of_one_run_may_differ_in_precision(run: Run, tmp_path: Path) -> None:
    folder = run(tmp_path, "train.bf16=true", "evaluate.bf16=true")
    manifests = {
        kind: json.loads(next((tmp_path / ".artifacts" / kind).glob("*/manifest.json")).read_text())["made_of"]
        for kind in ("teacher", "stage", "ranking")
    }
    assert manifests["teacher"]["stage"]["precision"] == "fp32"
    assert manifests["stage"]["stage"]["precision"] == "bf16"
    assert manifests["ranking"]["precision"] == "bf16"
    assert (folder / "model" / "model.safetensors").exists()


GRID = "grid.strategy.temperature=[1.0, 4.0]"


def test_a_grid_is_chosen_by_this_recipes_own_validation(run: Run, tmp_path: Path) -> None:
    one = run(tmp_path / "a", GRID)
    # The same stages, found trained, but another measure and fewer candidates to choose by.
    asked = ["train.metric_for_best_model=RR@3", "evaluate.measures=['nDCG@3']", "evaluate.rerank_depth=4", GRID]
    other = run(tmp_path / "a", "name=other", *asked)
    fresh = run(tmp_path / "b", *asked)
    assert len(list((tmp_path / "a" / ".artifacts" / "stage").iterdir())) == 2
    assert grid(one)["measure"] == "nDCG@10"
    assert {name for tried in grid(one)["tried"] for name in tried["validation"]} == {"RR@10", "nDCG@10"}
    assert grid(other) == grid(fresh)
    assert {name for tried in grid(other)["tried"] for name in tried["validation"]} == {"RR@3", "nDCG@3"}


def test_a_stage_that_is_there_is_not_trained_again(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = run(tmp_path, "train.eval_steps=3")
    monkeypatch.setattr(TrainedStage, "build", lambda *_: pytest.fail("trained again"))
    other = run(tmp_path, "train.eval_steps=3", "name=other")
    for name in ("model/model.safetensors", "eval/test/per_query.csv", "eval/test/references/teacher/run.trec"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    shutil.rmtree(other)


def test_the_teacher_is_left_as_it_was(run: Run, tmp_path: Path) -> None:
    """Two students of one teacher: what trains the one changes nothing for the other."""
    both = [run(tmp_path / "a", f"name={name}", f"seed={seed}") for name, seed in [("first", 1), ("second", 2)]]
    alone = run(tmp_path / "b", "name=second", "seed=2")
    assert (both[1] / "model" / "model.safetensors").read_bytes() == (
        alone / "model" / "model.safetensors"
    ).read_bytes()
    assert (both[0] / "model" / "model.safetensors").read_bytes() != (
        alone / "model" / "model.safetensors"
    ).read_bytes()

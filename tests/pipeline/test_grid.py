"""Grids whose points are tried for a share of the steps, and what is left of them where one is all there is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from settings_given import sets

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(cli: Cli, tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run whose grid has two points, of which one is left to its twin."""
    runs = tmp_path_factory.mktemp("grid") / "runs"
    options = [
        "grid_fraction=0.25",
        "grid.strategy.temperature=[1.0, 3.0]",
        "grid.train.learning_rate=[2e-3]",
        "twin.grid=shared",
    ]
    words = sets(*options)
    done = cli("run", tiny_recipe, "--runs-dir", runs, *words)
    assert done.code == 0, done.err
    return runs


def steps(folder: Path) -> list[int]:
    """Return the steps that were trained with each of a run's settings, in order."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    found = [event for event in events if event["kind"] == "validation" and "reused" not in event]
    return [event["step"] for event in found if event["stage"] in ("distil", "fine_tune")]


def test_points_are_tried_and_the_best_is_trained_in_full(runs: Path) -> None:
    grid = json.loads((runs / "tiny" / "grid.json").read_text())
    assert [one["values"]["strategy.temperature"] for one in grid["tried"]] == [1.0, 3.0]
    assert {one["values"]["train.learning_rate"] for one in grid["tried"]} == {2e-3}
    assert steps(runs / "tiny")[-3:] == [4, 4, 16]
    cost = json.loads((runs / "tiny" / "eval/test/cost.json").read_text())
    assert cost["grid_seconds"] > 0
    # Two trials of 4 steps and one training of 16, all of one size; beside them what the teacher took.
    teacher = json.loads((runs / "tiny" / "eval/test/references/teacher/cost.json").read_text())["budget"]
    trials = cost["budget"]["total_training_macs"] - cost["budget"]["training_macs"] - teacher["training_macs"]
    assert trials == pytest.approx(cost["budget"]["training_macs"] * 8 / 16)


def test_a_grid_of_one_point_is_no_search(runs: Path, cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    twin = runs / "tiny-label_only"
    assert not (twin / "grid.json").exists()
    assert steps(twin) == [16]
    assert json.loads((twin / "eval/test/cost.json").read_text())["grid_seconds"] == 0
    options = ("--set", "grid_fraction=0.25", "--set", "grid.train.learning_rate=[2e-3]", "--dry-run", "--json")
    plan = json.loads(cli("run", tiny_recipe, "--runs-dir", tmp_path, *options).out)
    assert {stage["what"]: stage["steps"] for stage in plan["stages"]} == {
        "teacher: fine_tune": 10,
        "student, learning_rate 0.002: distil": 16,
        "label-only, learning_rate 0.002: fine_tune": 16,
    }


def test_validation_and_loss_of_a_run_are_those_of_the_point_that_was_kept(
    runs: Path, cli: Cli, tiny_recipe: Path
) -> None:
    def validation(folder: Path) -> dict[str, float]:
        return dict(json.loads((folder / "status.json").read_text())["validation"])

    # A point that is not the last one tried, and nothing trained in full behind it.
    options = ["name=kept", "grid.train.learning_rate=[2e-3, 1e-9]", "twin.budget=none"]
    words = sets(*options)
    done = cli("run", tiny_recipe, "--runs-dir", runs, *words)
    assert done.code == 0, done.err
    grid = json.loads((runs / "kept" / "grid.json").read_text())
    chosen, last = grid["tried"][0], grid["tried"][1]
    assert grid["chosen"] == chosen["values"]
    assert validation(runs / "kept") == chosen["validation"] != last["validation"]
    events = map(json.loads, (runs / "kept" / "events.jsonl").read_text().splitlines())
    losses = {one["trial"]: one["values"]["loss"] for one in events if one["kind"] == "train" and "trial" in one}
    shown = json.loads((runs / "kept" / "status.json").read_text())["values"]["loss"]
    assert shown == losses["learning_rate 0.002"] != losses["learning_rate 1e-09"]
    # A run that finds everything trained says the same.
    again = cli("run", tiny_recipe, "--runs-dir", runs, *words, "--set", "name=again")
    assert again.code == 0, again.err
    assert validation(runs / "again") == chosen["validation"]

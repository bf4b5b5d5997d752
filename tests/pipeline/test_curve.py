"""A run's curve over training examples: what it holds, when it came close to the teacher, and after a stop."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from settings_given import sets

from distilkit.manifest import SEAL, is_sealed
from distilkit.pipeline import run as pipeline_run
from distilkit.pipeline.reporter import Reporter

Cli = Callable[..., Any]
Run = Callable[..., Path]

OPTIONS = (
    "twin.budget=none",
    "student.dropout=0.2",
    "train.optim=bert_adam",
    "train.eval_examples=[8, 20, 40]",
    "train.eval_steps=4",
    "train.early_stopping_patience=3",
    "train.metric_for_best_model=RR@5",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("curve") / "runs"


@pytest.fixture(scope="module")
def run(cli: Cli, tiny_recipe: Path, runs: Path) -> Run:
    """Return a function that runs the tiny recipe with a curve and returns the run's folder."""

    def finish(name: str, *options: str, code: int = 0, resume: bool = False) -> Path:
        words = sets(*OPTIONS, *options)
        more = ["--resume", "auto"] if resume else []
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", name, *words, *more)
        assert done.code == code, done.err
        return runs / name

    return finish


@pytest.fixture(scope="module")
def whole(run: Run) -> Path:
    return run("whole")


def curve(folder: Path) -> Any:
    return json.loads((folder / "curve.json").read_text())


def timeless(record: Any) -> Any:
    """Return a curve without its times, and without the hash of the whole, which covers them."""
    if isinstance(record, dict):
        return {key: timeless(value) for key, value in record.items() if key not in ("seconds", SEAL)}
    return [timeless(one) for one in record] if isinstance(record, list) else record


def test_points_and_level(whole: Path) -> None:
    found = curve(whole)
    assert found["measure"] == "RR@5"
    assert found["within"] == 0.05
    examples = {point["step"]: point["examples"] for point in found["points"]}
    assert list(examples.items())[:5] == [(1, 8), (3, 20), (4, 32), (5, 40), (8, 64)]  # eight pairs a step
    for point in found["points"]:
        assert point["stage"] == "distil"
        assert 0 <= point["RR@5"] <= 1
        assert {"RR@10", "nDCG@10"} <= set(point)
    seconds = [point["seconds"] for point in found["points"]]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert 0 < found["teacher"] <= 1


@pytest.mark.parametrize("within", [0.05, 0.5, 0.0, -9.0, 1.0])
def test_when_it_came_close(whole: Path, run: Run, monkeypatch: pytest.MonkeyPatch, within: float) -> None:
    monkeypatch.setattr(pipeline_run, "CLOSE", within)
    found = curve(run(f"within{within}"))  # its stages are there, so that nothing is trained
    close = [point for point in found["points"] if point["RR@5"] >= (1 - within) * found["teacher"]]
    assert found["first_within"] == (close[0] if close else None)
    assert (within == 1.0) <= (found["first_within"] == found["points"][0])
    assert (within == -9.0) <= (found["first_within"] is None)


@pytest.mark.parametrize("steps", [2, 5, 9])
def test_a_stop_changes_neither_curve_nor_weights(
    whole: Path, run: Run, runs: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    for manifest in (runs / ".artifacts" / "stage").glob("*/manifest.json"):
        shutil.rmtree(manifest.parent)
    asked = iter([False] * (steps - 1))
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "stop_requested", lambda self: next(asked, True))
        folder = run(f"stopped{steps}", code=130)
    assert not (folder / "curve.json").exists()
    assert (folder / "checkpoints").is_dir()
    run(f"stopped{steps}", resume=True)
    assert is_sealed(curve(folder))
    assert timeless(curve(folder)) == timeless(curve(whole))
    model = "model/model.safetensors"
    assert (folder / model).read_bytes() == (whole / model).read_bytes()
    log = (folder / "log.txt").read_text()
    assert f"resumed from step {steps}" in log


def test_a_stage_that_trains_no_scores_counts_its_time(run: Run) -> None:
    folder = run("two_steps", 'strategy={name = "tinybert", general = false}')
    found = curve(folder)
    assert {point["stage"] for point in found["points"]} == {"prediction"}
    spent = json.loads((folder / "eval" / "test" / "cost.json").read_text())["training_seconds"]
    assert set(spent) == {"intermediate", "prediction"}
    assert spent["intermediate"] < found["points"][0]["seconds"] <= sum(spent.values()) + 0.01


def test_without_points_there_is_no_curve(run: Run) -> None:
    folder = run("plain", "train.eval_examples=[]", "train.eval_steps=none", "train.early_stopping_patience=none")
    assert not (folder / "curve.json").exists()


def test_patience_needs_validations(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "train.early_stopping_patience=2")
    assert done.code == 2
    assert "early_stopping_patience is set without eval_steps; expected both or neither" in done.err


def test_a_teacher_that_is_used_as_it_is_has_a_level_too(run: Run) -> None:
    found = curve(run("as_it_is", "teacher.fine_tune=none", "train.max_steps=4", "train.metric_for_best_model=MRR@3"))
    assert found["measure"] == "RR@3"
    assert 0 < found["teacher"] <= 1

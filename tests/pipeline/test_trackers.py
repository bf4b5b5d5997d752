"""A run reports to experiment trackers: what their own files hold afterwards, and what a broken tracker costs."""

from pathlib import Path
from typing import Any

import pytest

import distilkit
from distilkit import UserError
from distilkit.pipeline import trackers
from distilkit.pipeline.trackers import Trackers


@pytest.mark.filterwarnings("ignore")  # what mlflow and tensorboard say of themselves
def test_tensorboard_and_mlflow_hold_the_figures_of_teacher_student_and_twin(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    changed = {"report_to": ["tensorboard", "mlflow"]}
    finished = distilkit.run(tiny_recipe, name="tracked", set=changed, runs_dir=tmp_path / "runs", quiet=True)
    assert isinstance(finished, distilkit.Run)
    validation = finished.curve[-1]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars = EventAccumulator(str(finished.path / "trackers" / "tracked"))
    scalars.Reload()
    tags = scalars.Tags()["scalars"]
    for who in ("teacher", "student", "label-only"):
        assert any(tag.startswith(who) and tag.endswith("/train/loss") for tag in tags), (who, tags)
    tag = f"student: {validation['stage']}/validation/nDCG_at_10"
    assert scalars.Scalars(tag)[-1].value == pytest.approx(validation["nDCG@10"], abs=1e-6)
    steps = [one.step for tag in tags if tag.endswith("/train/loss") for one in scalars.Scalars(tag)]
    assert len(steps) == len({*steps})  # stages follow each other

    found = mlflow.search_runs(experiment_names=["distilkit"], output_format="list")
    assert [one.info.run_name for one in found] == ["tracked"]
    assert found[0].data.metrics[tag] == pytest.approx(validation["nDCG@10"])
    assert found[0].data.params["train.learning_rate"] == str(finished.recipe["train"]["learning_rate"])


def test_what_is_reported_changes_neither_model_nor_the_right_to_resume(tiny_recipe: Path, tmp_path: Path) -> None:
    plain = distilkit.plan(tiny_recipe, runs_dir=tmp_path).to_json()
    tracked = distilkit.plan(tiny_recipe, set={"report_to": ["tensorboard"]}, runs_dir=tmp_path).to_json()
    assert [one["key"] for one in plain["stages"]] == [one["key"] for one in tracked["stages"]]


def test_a_tracker_that_is_not_installed_is_said_before_anything_is_computed(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install wandb"):
        distilkit.plan(tiny_recipe, set={"report_to": ["wandb"]}, runs_dir=tmp_path)
    with pytest.raises(UserError, match="wand"):
        distilkit.plan(tiny_recipe, set={"report_to": ["wand"]}, runs_dir=tmp_path)


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    logged: list[tuple[int, dict[str, Any]]] = []

    class Fine:
        def __init__(self, **options: Any) -> None: ...
        def start(self) -> None: ...
        def store_init_configuration(self, values: dict[str, Any]) -> None: ...
        def finish(self) -> None: ...

        def log(self, values: dict[str, Any], step: int) -> None:
            logged.append((step, values))

    class Broken(Fine):
        def log(self, values: dict[str, Any], step: int) -> None:
            raise ConnectionError("no server\nat all")

    import accelerate.tracking

    monkeypatch.setattr(accelerate.tracking, "LOGGER_TYPE_TO_CLASS", {"wandb": Broken, "trackio": Fine})
    found = Trackers.start(["wandb", "trackio"], "mine", tmp_path, {}, said.append)
    found.log("teacher: a", "train", 10, {"loss": 1.0})
    found.log("student: b", "train", 5, {"loss": 2.0, "none": float("nan"), "word": "x"})
    found.log("student: b", "other", 6, {"loss": 2.0})
    found.finish()
    assert said == ["report_to: wandb gets no more reports: no server"]
    assert [step for step, _ in logged] == [10, 15]
    assert logged[1][1] == {"student: b/train/loss": 2.0, "student: b/step": 5}

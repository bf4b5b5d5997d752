"""tas_balanced in runs: clusters of queries and both teachers are made first, kept and shared; what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from settings_given import sets
from tiny_rankers import save_tiny

from distilkit.files import read_json
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

TAS = [
    "strategy={name = 'tas_balanced', clusters = 4, bins = 3, negative_pool = 4}",
    *("student.architecture=bert_dot", "student.options.colbert={form = 'papers', dim = 8}"),
    *("data.query_length=8", "data.document_length=16", "train.max_steps=3", "teacher.fine_tune=none"),
    *("train.negatives=2", "train.per_device_train_batch_size=4", "train.logging_steps=1"),
]


def test_a_run_trains_baseline_and_in_batch_teacher_first(
    cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilkit.pipeline.probe.SHORT", 0.0)  # as before a longer run, a few steps are timed
    settings = sets(*TAS, "twin.strategy=fine_tune(cross_entropy=0.0, ranknet=1.0)")
    planned = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    steps = {step["what"]: (step["losses"], step["steps"]) for step in json.loads(planned.out)["stages"]}
    assert steps["encoder of queries: distil"] == steps["in-batch teacher: distil"] == ("1·margin_mse", 3)
    assert steps["student: tas"] == ("1·margin_mse + 0.75·in_batch_margin_mse", 3)
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *settings)
    assert done.code == 0, done.err
    artifacts = tmp_path / ".artifacts"
    (clusters,) = (artifacts / "clusters").iterdir()
    assert read_json(clusters / "manifest.json")["clusters"] == 4
    assert len(np.load(clusters / "queries.npy")) == 20
    events = [json.loads(line) for line in (tmp_path / "tiny" / "events.jsonl").read_text().splitlines()]
    trained = [event for event in events if event["kind"] == "train"]
    assert [event["stage"] for event in trained] == ["distil"] * 6 + ["tas"] * 3
    assert all(event["values"]["in_batch_margin_mse"] > 0 for event in trained[6:])
    cost = read_json(tmp_path / "tiny" / "eval" / "test" / "cost.json")
    assert cost["teacher_seconds"] > 0
    assert cost["budget"]["total_training_macs"] > 2 * cost["budget"]["training_macs"]
    # The baseline is what a run of margin_mse with this student trains.
    stages = len(list((artifacts / "stage").iterdir()))
    same = sets(*TAS[1:], "strategy={name = 'margin_mse'}", "twin.budget=none", "name=same")
    assert cli("run", tiny_recipe, "--runs-dir", tmp_path, *same).code == 0
    assert len(list((artifacts / "stage").iterdir())) == stages


@pytest.fixture
def pipeline_of(tiny_recipe: Path, tmp_path: Path) -> Callable[..., Pipeline]:
    def make(*settings: str) -> Pipeline:
        workspace = Workspace(tmp_path / ".artifacts", Processes(), Reporter(quiet=True))
        return Pipeline(load_recipe(tiny_recipe, [*TAS, *settings]), workspace)

    return make


def test_models_that_are_there_take_their_place(
    pipeline_of: Callable[..., Pipeline], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    tiny_students = {name: tmp_path / name for name in ("bert_dot", "colbert")}
    for name, folder in tiny_students.items():
        save_tiny(folder, tiny_checkpoint, name)
    named = f"strategy.cluster_encoder={tiny_students['bert_dot']}"
    pipeline = pipeline_of("strategy.clusters=2", named, f"strategy.in_batch_teacher={tiny_students['colbert']}")
    assert pipeline.auxiliary_stages() == {}
    (stage,) = pipeline.grid()[0].stages
    assert stage.in_batch is not None
    assert stage.in_batch.model.architecture == "colbert"
    examples = pipeline.workspace.value(stage.examples)
    assert examples.groups is not None
    assert set(examples.groups.topics.labels.tolist()) == {0, 1}
    # Keys follow what the models hold.
    other = pipeline_of("strategy.clusters=2", named, f"strategy.in_batch_teacher={tiny_students['bert_dot']}")
    assert other.grid()[0].stages[0].key != stage.key
    assert other.grid()[0].stages[0].examples.key == stage.examples.key


def test_without_labels(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("train.labels=none", "train.negative_depth=8", "strategy.clusters=1")
    examples = pipeline.workspace.value(pipeline.grid()[0].stages[-1].examples)
    assert examples.groups is not None
    assert set(examples.groups.topics.labels.tolist()) == {0}
    margins = examples.targets[:, 0] - examples.targets[:, 1]
    assert (margins >= 0).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ["strategy.clusters=99"],
            "[strategy] clusters = 99: there are 20 training queries to cluster; expected",
        ),
        (["teacher.scores=online"], 'so that scores are computed before; expected "cached"'),
        (
            ["student.architecture=bert_cat"],
            "scores all pairs of a batch, which a bert_cat cannot; expected",
        ),
        (["strategy.in_batch_teacher=TEACHER"], "in_batch_teacher = 'TEACHER': a bert_cat does not encode texts so"),
        (["strategy.cluster_encoder=nowhere"], "nowhere"),
        (["strategy.in_batch=0.0", "strategy.pairwise=0.0"], "pairwise and in_batch are both 0"),
        (["strategy.bins=0"], "[strategy] bins"),
    ],
)
def test_what_is_refused(
    cli: Callable[..., Any],
    tiny_recipe: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    settings: list[str],
    said: str,
) -> None:
    given = [one.replace("TEACHER", str(tiny_checkpoint)) for one in settings]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*TAS, *given), "--dry-run")
    assert done.code == 2
    assert said.replace("TEACHER", str(tiny_checkpoint)) in done.err
    assert "Traceback" not in done.err

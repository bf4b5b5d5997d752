"""Documents ranked by their passages: trained on the teacher's best ones, scored by all of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilkit.evaluation.trec import read_run
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.experiment import Experiment
from distilkit.runs.reporter import Reporter

PASSAGES = "data.passages={length = 3, stride = 2, aggregate = 'max', keep = 2}"


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("documents")
    done = cli("run", tiny_recipe, "--runs-dir", runs, "--set", PASSAGES, "--name", "max")
    assert done.code == 0, done.err
    return runs


def experiment(recipe: Path, runs: Path, *overrides: str) -> Experiment:
    processes = OneProcess()
    artifacts = Artifacts(runs / ".artifacts", processes, Reporter(quiet=True))
    return Experiment(load_recipe(recipe, [PASSAGES, "name=max", *overrides]), artifacts, processes)


def test_a_document_is_scored_by_its_best_window(finished: Path, tiny_recipe: Path) -> None:
    import torch

    from distilkit.evaluation.rerank import score_batch
    from distilkit.models.cat import load_cat

    found = experiment(tiny_recipe, finished)
    materials = found.materials
    windows, tokens = materials.windows(found.base.folder), materials.tokens(found.base.folder)
    assert windows is not None
    assert len(windows.texts) > len(materials.collection.passages)
    ranker = load_cat(finished / "max" / "model")
    run = read_run(finished / "max" / "eval" / "test" / "run.trec")
    query, ranking = next(iter(run.items()))
    for passage, score in ranking[:3]:
        row = materials.collection.passages.index(passage)
        rows = np.arange(windows.starts[row], windows.starts[row + 1])
        queries = np.full(len(rows), materials.collection.queries.index(query))
        with torch.no_grad():
            expected = score_batch(ranker, tokens, queries, rows, torch.device("cpu")).max()
        assert score == pytest.approx(expected, abs=1e-5)


def test_training_reads_the_windows_that_the_teacher_scores_best(finished: Path, tiny_recipe: Path) -> None:
    found = experiment(tiny_recipe, finished)
    (job,) = found.grid()[0].jobs
    examples = found.stages._task.training_set(job)
    windows = found.materials.windows(found.base.folder)
    assert windows is not None
    documents = np.searchsorted(windows.starts, examples.passages.ravel(), side="right") - 1
    pairs = list(zip(examples.queries.ravel().tolist(), documents.tolist(), strict=True))
    assert max(pairs.count(pair) for pair in pairs) >= 2  # a document may come for several positives of its query
    assert len(examples) == found.stages.size(job)[0] == found.stages._task.count(job)
    teacher = found.teacher_jobs()[0]
    first = found.stages._task.training_set(teacher)
    assert set(first.passages.ravel().tolist()) <= set(windows.starts[:-1].tolist())


@pytest.mark.parametrize(
    ("override", "changes"),
    [
        ("data.passages.aggregate='avg'", False),  # what is trained does not depend on it
        ("data.passages.keep=1", True),
        ("data.passages.length=4", True),
        ("data.passages.stride=1", True),
        ("data.passages.unit='tokens'", True),
    ],
)
def test_what_changes_a_stage(finished: Path, tiny_recipe: Path, override: str, changes: bool) -> None:
    def key(*overrides: str) -> str:
        found = experiment(tiny_recipe, finished, *overrides)
        return found.stages.artifact(found.grid()[0].jobs[-1]).key

    assert (key(override) != key()) == changes


def test_another_aggregation_ranks_otherwise(finished: Path, tiny_recipe: Path, cli: Callable[..., Any]) -> None:
    done = cli(
        "run",
        tiny_recipe,
        "--runs-dir",
        finished,
        "--set",
        PASSAGES,
        "--set",
        "data.passages.aggregate=avg",
        "--name",
        "avg",
    )
    assert done.code == 0, done.err
    one, other = (
        (finished / name / "eval" / "test" / "run.trec").read_text().replace(name, "") for name in ("max", "avg")
    )
    assert one != other
    events = [json.loads(line) for line in (finished / "avg" / "events.jsonl").read_text().splitlines()]
    assert all("reused" in event for event in events if event["kind"] == "train")  # and trains nothing anew


def test_a_stride_beyond_the_length_is_refused(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "data.passages={length = 10, stride = 20}")
    assert done.code == 2
    assert "expected at most length = 10" in done.err

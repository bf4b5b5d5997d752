"""Documents ranked by their passages: trained on the teacher's best ones, scored by all of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilkit.evaluation.trec import read_run
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

PASSAGES = "data.passages={length = 3, stride = 2, aggregate = 'max', keep = 2}"


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("documents")
    done = cli("run", tiny_recipe, "--runs-dir", runs, "--set", PASSAGES, "--name", "max")
    assert done.code == 0, done.err
    return runs


def pipeline_of(recipe: Path, runs: Path, *overrides: str) -> Pipeline:
    workspace = Workspace(runs / ".artifacts", OneProcess(), Reporter(quiet=True))
    return Pipeline(load_recipe(recipe, [PASSAGES, "name=max", *overrides]), workspace)


def test_a_document_is_scored_by_its_best_window(finished: Path, tiny_recipe: Path) -> None:
    import torch

    from distilkit.evaluation.rerank import score_batch
    from distilkit.models.cat import load_cat

    found = pipeline_of(tiny_recipe, finished)
    value, tokenizer, collection = found.workspace.value, found.bases[0].tokenizer, found.data.collection
    cut = found.data.windows(tokenizer)
    assert cut is not None
    windows, tokens = value(cut), value(found.data.reader(tokenizer))
    assert len(windows.texts) > len(collection.passages)
    ranker = load_cat(finished / "max" / "model")
    run = read_run(finished / "max" / "eval" / "test" / "run.trec")
    query, ranking = next(iter(run.items()))
    for passage, score in ranking[:3]:
        row = collection.passages.index(passage)
        rows = np.arange(windows.starts[row], windows.starts[row + 1])
        queries = np.full(len(rows), collection.queries.index(query))
        with torch.no_grad():
            expected = score_batch(ranker, tokens, queries, rows, torch.device("cpu")).max()
        assert score == pytest.approx(expected, abs=1e-5)


def test_training_reads_the_windows_that_the_teacher_scores_best(finished: Path, tiny_recipe: Path) -> None:
    found = pipeline_of(tiny_recipe, finished)
    value = found.workspace.value
    (stage,) = found.grid()[0].stages
    examples = value(stage.examples)
    cut = found.data.windows(found.bases[0].tokenizer)
    assert cut is not None
    windows = value(cut)
    documents = np.searchsorted(windows.starts, examples.passages.ravel(), side="right") - 1
    pairs = list(zip(examples.queries.ravel().tolist(), documents.tolist(), strict=True))
    assert max(pairs.count(pair) for pair in pairs) >= 2  # a document may come for several positives of its query
    assert len(examples) == stage.examples.count(found.workspace)
    first = value(found.teacher_chains[0][0].examples)
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
        return pipeline_of(tiny_recipe, finished, *overrides).grid()[0].stages[-1].key

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

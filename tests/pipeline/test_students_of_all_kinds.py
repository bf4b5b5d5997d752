"""All five students trained by a cross-encoder's scores, from a recipe to their model folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.evaluation.trec import read_run
from distilkit.models.load import load_ranker

STRATEGY = 'strategy={name = "margin_mse"}'
TWIN = 'twin.strategy="fine_tune(cross_entropy=0.0, ranknet=1.0)"'
OPTIONS = {
    "bert_cat": "{}",
    "bert_dot": "{dim = 8}",
    "colbert": "{form = 'papers', dim = 8, query_masks = 2}",
    "prettr": "{join_layer = 1, document_offset = 8}",
    "tk": "{layers = 1, heads = 2, feed_forward = 8}",
}


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("students")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilkit.pipeline.probe.SHORT", 0.0)  # as before a longer run, a few steps are timed
        _train(runs, tiny_recipe, cli)
    return runs


def _train(runs: Path, tiny_recipe: Path, cli: Callable[..., Any]) -> None:
    for name, options in OPTIONS.items():
        sets = [STRATEGY, TWIN, f"student.architecture={name}", f"student.options={options}"]
        sets += ["data.query_length=8", "data.document_length=16", "train.negatives=2", "train.max_steps=8"]
        if name == "tk":
            sets += ['student.start="random"', "student.shape=none", "train.learning_rates={word_embeddings = 1e-2}"]
        words = [word for one in sets for word in ("--set", one)]
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", name, *words)
        assert done.code == 0, (name, done.err)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_student_is_trained_and_measured(finished: Path, name: str) -> None:
    events = [json.loads(line) for line in (finished / name / "events.jsonl").read_text().splitlines()]
    trained = [event["values"] for event in events if event["kind"] == "train" and event["stage"] == "distil"]
    assert {"loss", "margin_mse", "margin", "pairwise_accuracy"} <= set(trained[0])
    assert trained[-1]["learning_rate"] < trained[0]["learning_rate"]
    run = read_run(finished / name / "eval" / "test" / "run.trec")
    assert len(run) == 8
    assert load_ranker(finished / name / "model") is not None


def test_one_scoring_serves_all(finished: Path) -> None:
    assert len(list((finished / ".artifacts" / "teacher").iterdir())) == 1
    assert len(list((finished / ".artifacts" / "scores").iterdir())) == 1


@pytest.mark.parametrize("name", ["bert_dot", "bert_cat"])
def test_an_online_teacher_gives_the_same_student(
    finished: Path, tiny_recipe: Path, cli: Callable[..., Any], name: str
) -> None:
    import torch

    sets = [STRATEGY, f"student.architecture={name}", f"student.options={OPTIONS[name]}", "twin.budget=none"]
    sets += ["data.query_length=8", "data.document_length=16", "train.negatives=2", "train.max_steps=8"]
    sets += ["teacher.scores=online"]
    done = cli(
        "run", tiny_recipe, "--runs-dir", finished, "--name", f"{name}-online", *[w for s in sets for w in ("--set", s)]
    )
    assert done.code == 0, done.err
    one, other = (dict(load_ranker(finished / run / "model").named_parameters()) for run in (name, f"{name}-online"))
    for key, value in one.items():
        torch.testing.assert_close(value, other[key], rtol=1e-4, atol=1e-6)


def test_internals_need_a_cross_encoder(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "student.architecture=bert_dot")
    assert done.code == 2
    assert "reads the student's intermediate layers" in done.err


def test_an_unknown_option_names_the_nearest(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    sets = ["--set", STRATEGY, "--set", "student.architecture=colbert", "--set", "student.options={quary_masks = 2}"]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets)
    assert done.code == 2
    assert "did you mean 'query_masks'" in done.err

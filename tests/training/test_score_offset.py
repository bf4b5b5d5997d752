"""A fixed offset of a student's scores: measured before the first step, saved with the model, used where it scores."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from settings_given import sets

from distilkit.evaluation.trec import read_run
from distilkit.models import student_options
from distilkit.models.load import load_ranker

SETS = ["student.architecture=bert_dot", "twin.budget=none", "data.query_length=8", "data.document_length=16"]


def train(cli: Callable[..., Any], recipe: Path, runs: Path, name: str, strategy: str, *more: str) -> Any:
    settings = [f"strategy={strategy}", *SETS, "train.max_steps=12", *more]
    return cli("run", recipe, "--runs-dir", runs, "--name", name, *sets(*settings))


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("offsets")
    for name, table in (("plain", ""), ("offset", ', score_offset = "teacher_mean"')):
        done = train(cli, tiny_recipe, runs, name, f'{{name = "pointwise_mse"{table}}}')
        assert done.code == 0, done.err
    return runs


def losses(run: Path) -> list[dict[str, float]]:
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event["values"] for event in events if event["kind"] == "train" and event["stage"] == "distil"]


def offset_of(run: Path) -> float:
    return float(json.loads((run / "model/config.json").read_text())["distilkit"]["options"]["offset"])


def test_without_it_the_mean_is_all_that_is_learned(finished: Path) -> None:
    plain, moved = losses(finished / "plain"), losses(finished / "offset")
    # The dot products of states of 16 dimensions start near 16, the teacher's logits near 0.
    assert plain[0]["pointwise_mse"] > 20 * moved[0]["pointwise_mse"]
    assert plain[-1]["pointwise_mse"] > 10 * moved[-1]["pointwise_mse"]


def test_it_is_said_in_the_log_and_lies_in_the_model(finished: Path) -> None:
    assert offset_of(finished / "plain") == 0
    offset = offset_of(finished / "offset")
    assert offset < -5
    assert f"the fixed offset {offset:g} is added" in (finished / "offset/log.txt").read_text()
    assert f"distilkit adds the offset {offset:g}" in (finished / "offset/model/README.md").read_text()


def test_the_saved_model_scores_as_it_was_trained(finished: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    model, first = finished / "offset/model", read_run(finished / "offset/eval/test/run.trec")
    data = json.loads((finished / "offset/run.json").read_text())["recipe"]["data"]["path"]
    for verb in ("rerank", "retrieve"):
        out = tmp_path / f"{verb}.trec"
        done = cli(verb, model, "--data", data, "--depth", 10, "--output", out)
        assert done.code == 0, done.err
        for query, ranking in read_run(out).items():
            scores, known = dict(ranking), dict(first[query])
            common = scores.keys() & known.keys()
            assert common
            assert [scores[one] for one in common] == pytest.approx([known[one] for one in common], abs=0.05)


def test_sentence_transformers_ranks_alike(finished: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    pytest.importorskip("sentence_transformers")
    done = cli("export", finished / "offset", "--format", "sentence-transformers", "--output", tmp_path / "exported")
    assert done.code == 0, done.err
    assert load_ranker(tmp_path / "exported").options.offset == offset_of(finished / "offset")


def test_a_student_with_a_bias_is_refused(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    strategy = '{name = "pointwise_mse", score_offset = "teacher_mean"}'
    done = train(cli, tiny_recipe, tmp_path, "cat", strategy, "student.architecture=bert_cat")
    assert done.code == 2
    assert "the scores of a bert_cat have a bias, which learns it" in done.err


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert", "tk"])
def test_an_offset_of_nought_changes_no_key(architecture: str) -> None:
    plain, moved = (student_options(architecture, {"offset": value}) for value in (0.0, 1.5))
    assert plain.identity() == {name: value for name, value in asdict(plain).items() if name != "offset"}
    assert moved.identity() == asdict(moved)

"""`distilkit.load`: scores, rankings and vectors of texts, equal to those of the verbs and of the ranker itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import save_tiny

import distilkit
from distilkit import RunFailed, UserError
from distilkit.models import STUDENTS

TEXTS = ["old river of red copper", "a quiet violin", "the falcon of the planet", "slow engine", "harbour candle deep"]
PAIRS = [("what red copper", TEXTS[0]), ("what violin", TEXTS[3]), ("what red copper", TEXTS[2])]
ARCHITECTURES = ("bert_cat", "bert_dot", "colbert", "prettr", "tk")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for architecture in ARCHITECTURES:
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_do_not_depend_on_what_else_is_scored_and_keep_the_order_given(models: Path, architecture: str) -> None:
    ranker = distilkit.load(models / architecture)
    together = ranker.score(PAIRS)
    assert together.shape == (3,)
    assert together.dtype == np.float64
    alone = np.concatenate([ranker.score([pair]) for pair in PAIRS])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        ranker.score(PAIRS[0][0], [PAIRS[0][1], PAIRS[2][1]]), together[[0, 2]], rtol=1e-5, atol=1e-5
    )
    assert len({*together.round(6)}) == 3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_those_of_the_verb(
    models: Path, architecture: str, tmp_path: Path, cli: Callable[..., Any], tiny_beir: Path
) -> None:
    done = cli(
        "rerank", models / architecture, "--data", tiny_beir, "--output", tmp_path / "run.trec", "--depth", 5,
        "--runs-dir", tmp_path / "runs", "--bf16", "false",
    )  # fmt: skip
    assert done.code == 0, done.err
    lines = [line.split() for line in (tmp_path / "run.trec").read_text().splitlines()][:5]
    texts, queries = (_texts(tiny_beir / f"{name}.jsonl") for name in ("corpus", "queries"))
    found = distilkit.load(models / architecture).score([(queries[one[0]], texts[one[2]]) for one in lines])
    np.testing.assert_allclose(found, [float(one[4]) for one in lines], atol=1e-4)


def test_rank_is_best_first_and_of_equal_scores_the_one_given_first(models: Path) -> None:
    ranker = distilkit.load(models / "bert_dot")
    ranked = ranker.rank("what violin", [TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[3]])
    assert sorted(one.index for one in ranked) == [0, 1, 2, 3]
    assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
    places = [one.index for one in ranked]
    assert places.index(0) < places.index(2)  # the same text twice
    assert ranker.rank("what violin", TEXTS, top_k=2) == ranker.rank("what violin", TEXTS)[:2]
    assert ranker.rank("what violin", []) == []
    assert ranked[0].passage == [TEXTS[1], TEXTS[0], TEXTS[1], TEXTS[3]][ranked[0].index]


def test_vectors_make_the_scores(models: Path) -> None:
    dot = distilkit.load(models / "bert_dot")
    queries, documents = dot.encode_queries(["what violin", "red copper"]), dot.encode_documents(TEXTS[:2])
    assert isinstance(queries, np.ndarray)
    assert isinstance(documents, np.ndarray)
    scores = dot.score([("what violin", TEXTS[0]), ("red copper", TEXTS[1])])
    np.testing.assert_allclose((queries * documents).sum(1), scores, atol=1e-4)
    colbert = distilkit.load(models / "colbert")
    vectors = colbert.encode_documents(TEXTS[:2])
    assert isinstance(vectors, list)
    assert [one.ndim for one in vectors] == [2, 2]
    assert len(dot.encode_queries([])) == 0


@pytest.mark.parametrize("architecture", ["bert_cat", "tk"])
def test_a_saved_ranker_scores_as_before(models: Path, architecture: str, tmp_path: Path) -> None:
    ranker = distilkit.load(models / architecture)
    again = distilkit.load(ranker.save(tmp_path / "again"))
    np.testing.assert_allclose(again.score(PAIRS), ranker.score(PAIRS), atol=1e-6)
    assert again.lengths == ranker.lengths


def test_lengths_that_are_given_cut_texts(models: Path) -> None:
    short = distilkit.load(models / "bert_cat", max_length=8)
    assert short.lengths == {"max_length": 8}
    longer = f"{TEXTS[0]} {TEXTS[1]} {TEXTS[2]}"
    assert short.score("what red", [longer, f"{longer} candle"])[0] == pytest.approx(
        short.score("what red", [f"{longer} candle"])[0]
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda ranker: ranker.score("a query"), "list of passages"),
        (lambda ranker: ranker.score("a query", "a passage"), "list of passages"),
        (lambda ranker: ranker.score([("a", "b")], ["c"]), "one query"),
        (lambda ranker: ranker.score([("a", "b", "c")]), "pairs of two texts"),
        (lambda ranker: ranker.score([("a", None)]), "pairs of two texts"),
        (lambda ranker: ranker.encode_queries(["a"]), "no vectors"),
        (lambda ranker: ranker.encode_documents(["a"]), "no vectors"),
    ],
)
def test_wrong_input_is_said(models: Path, call: Callable[[Any], object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        call(distilkit.load(models / "bert_cat"))


def test_scores_that_are_not_finite_are_no_result(models: Path) -> None:
    ranker = distilkit.load(models / "bert_cat")
    with torch.no_grad():
        next(ranker.module.parameters()).fill_(float("nan"))
    with pytest.raises(RunFailed, match="not finite"):
        ranker.score(PAIRS)


def test_all_architectures_are_tried() -> None:
    assert {*ARCHITECTURES} <= {*STUDENTS}


def _texts(path: Path) -> dict[str, str]:
    return {row["_id"]: row["text"] for row in map(json.loads, path.read_text().splitlines())}

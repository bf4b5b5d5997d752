"""All five rankers re-rank candidates and score pairs, each from tokens in its own form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import MAX_LENGTH, OPTIONS, save_tiny

from distilkit.data.teacher_scores import TeacherScores, read_provenance
from distilkit.evaluation.trec import read_run
from distilkit.models.batch import batch_of
from distilkit.scoring.rankers import open_ranker

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> list[Path]:
    folder = tmp_path_factory.mktemp("five")
    for architecture in OPTIONS:
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    return [folder / architecture for architecture in OPTIONS]


def score_alone(model: Path, data: Path, query: str, document: str) -> float:
    """Return the score of one pair whose texts are tokenised by themselves."""
    from distilkit.data.tokens import TokenStore

    opened = open_ranker(str(model))
    texts = {}
    for name in ("queries", "corpus"):
        texts |= {row["_id"]: row["text"] for row in map(json.loads, (data / f"{name}.jsonl").read_text().splitlines())}
    stores = [TokenStore.of([texts[one]], opened.tokenizer, opened.stored_length) for one in (query, document)]
    row = np.zeros(1, np.int64)
    with torch.no_grad():
        batch = batch_of(opened.tokens(stores[0], stores[1]).batch(row, row))
        return float(opened.ranker.score(batch))


def test_rerank(cli: Cli, models: list[Path], tiny_beir: Path, tmp_path: Path) -> None:
    options = ("--depth", 6, "--max-length", MAX_LENGTH, "--bf16", "false", "--combine", "standardised")
    fixed = ("--data", tiny_beir, "--output", tmp_path / "run.trec", "--runs-dir", tmp_path / "runs")
    outcome = cli("rerank", *models, *fixed, *options)
    assert outcome.code == 0, outcome.err
    assert len(read_run(tmp_path / "run.ensemble.trec")) == 8
    for model in models:
        run = read_run(tmp_path / f"run.{model.name}.trec")
        for document, score in run["q27"][:2]:
            assert score == pytest.approx(score_alone(model, tiny_beir, "q27", document), rel=1e-4, abs=1e-4)


def test_score(cli: Cli, models: list[Path], pairs: Path, tiny_beir: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    chosen = [word for model in models for word in ("--model", model)]
    fixed = ("--pairs", pairs, "--data", tiny_beir, "--max-length", MAX_LENGTH, "--bf16", "false", "--output", output)
    outcome = cli("score", *chosen, *fixed)
    assert outcome.code == 0, outcome.err
    provenance = read_provenance(output)
    assert provenance is not None
    made_of = {one["name"]: one for one in provenance["teachers"]}
    assert made_of["bert_cat"]["max_length"] == MAX_LENGTH
    assert "max_length" not in made_of["colbert"]
    assert (made_of["colbert"]["query_length"], made_of["colbert"]["document_length"]) == (8, 16)
    assert made_of["prettr"]["options"]["join_layer"] == 1
    scores = TeacherScores.open(output)
    assert set(scores.teachers) == set(OPTIONS)
    (found,) = scores.lookup(["q3"], ["d3"])
    wanted = {model.name: score_alone(model, tiny_beir, "q3", "d3") for model in models}
    assert dict(zip(scores.teachers, found.tolist(), strict=True)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_a_tk_of_whole_words(cli: Cli, tiny_checkpoint: Path, pairs: Path, tiny_beir: Path, tmp_path: Path) -> None:
    """Its tokenizer is that of a vocabulary of words, with which it is saved and scores again."""
    from distilkit.models.initialise import student_from
    from distilkit.models.save import save_ranker
    from distilkit.models.tk import TkOptions
    from distilkit.models.words import word_tokenizer

    texts = [json.loads(line)["text"] for line in (tiny_beir / "corpus.jsonl").read_text().splitlines()]
    tokenizer, options = word_tokenizer(texts), TkOptions("random", "word", dim=8, layers=1, feed_forward=8)
    torch.manual_seed(0)
    ranker = student_from(tiny_checkpoint, architecture="tk", options=options, tokenizer=tokenizer).eval()
    with torch.no_grad():
        ranker.kernels.kernel_bin_weights.weight.mul_(100)  # type: ignore[operator, union-attr]
    lengths = {"query_length": 8, "document_length": 16}
    save_ranker(ranker, tokenizer, tmp_path / "tk", **lengths)
    options_ = ("--data", tiny_beir, "--output", tmp_path / "scores.parquet")
    outcome = cli("score", "--model", tmp_path / "tk", "--pairs", pairs, *options_)
    assert outcome.code == 0, outcome.err
    (found,) = TeacherScores.open(tmp_path / "scores.parquet").lookup(["q3"], ["d3"])
    assert found[0] == pytest.approx(score_alone(tmp_path / "tk", tiny_beir, "q3", "d3"), rel=1e-4, abs=1e-4)
    assert open_ranker(str(tmp_path / "tk")).tokenizer.get_vocab() == tokenizer.get_vocab()

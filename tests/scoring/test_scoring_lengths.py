"""Lengths and precision: each ranker reads what it was trained to read, as far as it has positions, in float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import DOCUMENT_LENGTH, MAX_LENGTH, QUERY_LENGTH, save_tiny

from distilkit.data.teacher_scores import read_provenance
from distilkit.errors import UserError
from distilkit.models.cat import BertCat
from distilkit.models.colbert import ColBertOptions
from distilkit.models.load import load_tokenizer
from distilkit.scoring.rankers import open_ranker

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    for architecture in ("bert_cat", "bert_dot", "colbert"):
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    return folder


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Return an encoder that does not say that it is a bert_dot, as those of Hofstätter et al. do not."""
    from distilkit.models.load import load_encoder

    folder = tmp_path_factory.mktemp("bare") / "dot"
    load_encoder(tiny_checkpoint).save_pretrained(folder)
    load_tokenizer(tiny_checkpoint).save_pretrained(folder)
    return folder


def scored(cli: Cli, pairs: Path, data: Path, output: Path, *options: object) -> Any:
    outcome = cli("score", "--pairs", pairs, "--data", data, "--output", output, *options)
    assert outcome.code == 0, outcome.err
    provenance = read_provenance(output)
    assert provenance is not None
    return provenance


def test_lengths_are_those_of_each_ranker(
    cli: Cli, trained: Path, tiny_checkpoint: Path, pairs: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    models = [word for name in ("bert_cat", "bert_dot") for word in ("--model", trained / name)]
    models += ["--model", f"plain={tiny_checkpoint}"]
    provenance = scored(cli, pairs, tiny_beir, tmp_path / "own.parquet", *models)
    cat, dot, plain = provenance["teachers"]
    assert cat["max_length"] == MAX_LENGTH
    assert (dot["query_length"], dot["document_length"]) == (QUERY_LENGTH, DOCUMENT_LENGTH)
    assert plain["max_length"] == 64  # which it has positions for
    assert provenance["precision"] == "fp32"
    asked = ("--max-length", 12, "--query-length", 6, "--document-length", 9)
    cat, dot, plain = scored(cli, pairs, tiny_beir, tmp_path / "asked.parquet", *models, *asked)["teachers"]
    assert (cat["max_length"], plain["max_length"]) == (12, 12)
    assert (dot["query_length"], dot["document_length"]) == (6, 9)


def test_more_tokens_than_positions_are_refused(
    cli: Cli, tiny_checkpoint: Path, trained: Path, pairs: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    fixed = ("--pairs", pairs, "--data", tiny_beir, "--output", tmp_path / "scores.parquet")
    outcome = cli("score", "--model", tiny_checkpoint, *fixed, "--max-length", 65)
    assert outcome.code == 2
    assert f"--max-length 65: {tiny_checkpoint} has positions for 64 tokens" in outcome.err
    # Two MASKs come on top of a query of this ranker.
    with pytest.raises(UserError, match=r"--query-length 63: .* has positions for 62 tokens"):
        open_ranker(str(trained / "colbert")).with_lengths(query_length=63)
    assert not (tmp_path / "scores.parquet").exists()


def test_long_texts_are_cut_to_the_positions(cli: Cli, tiny_checkpoint: Path, tmp_path: Path) -> None:
    triples = tmp_path / "triples.tsv"
    triples.write_text(f"what red\t{'apple ' * 300}\t{'river ' * 300}\n")
    outcome = cli("score", "--model", tiny_checkpoint, "--triples", triples, "--output", tmp_path / "scores.tsv")
    assert outcome.code == 0, outcome.err


def test_a_bare_encoder_is_told_what_it_is(
    cli: Cli, bare: Path, trained: Path, pairs: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    fixed = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs")
    silent = cli("retrieve", bare, *fixed, "--output", tmp_path / "found.trec")
    assert silent.code == 2
    assert "does not say which ranker it is: give its architecture" in silent.err
    told = ("--architecture", "bert_dot")
    assert cli("retrieve", bare, *fixed, "--output", tmp_path / "found.trec", *told).code == 0
    assert cli("rerank", bare, *fixed, "--output", tmp_path / "dot.trec", *told).code == 0
    # Beside rankers that say what they are, it is meant for the one that does not.
    several = (bare, trained / "colbert", "--depth", 5, *fixed, "--output", tmp_path / "run.trec")
    assert cli("rerank", *several, *told).code == 0
    assert (tmp_path / "run.colbert.trec").exists()
    provenance = scored(cli, pairs, tiny_beir, tmp_path / "scores.parquet", "--model", bare, *told)
    assert provenance["teachers"][0]["architecture"] == "bert_dot"
    outcome = cli("export", bare, "--format", "sentence-transformers", "--output", tmp_path / "exported", *told)
    assert outcome.code == 0, outcome.err
    clash = cli("rerank", trained / "colbert", *fixed, "--output", tmp_path / "clash.trec", *told)
    assert clash.code == 2
    assert "holds a colbert, not a bert_dot" in clash.err


def test_the_published_dot_needs_no_telling(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from distilkit.scoring import rankers

    monkeypatch.setattr(rankers, "model_folder", lambda reference, runs_dir: bare)
    opened = open_ranker("sebastian-hofstaetter/distilbert-dot-margin_mse-T2-msmarco")
    assert opened.ranker.architecture == "bert_dot"
    assert opened.lengths == {"query_length": 30, "document_length": 64}


def test_the_published_cats_pairs_are_a_query_and_a_passage_long(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    from published_layouts import write_cat

    write_cat(tmp_path / "cat")
    load_tokenizer(bare).save_pretrained(tmp_path / "cat")
    assert open_ranker(str(tmp_path / "cat")).lengths == {"max_length": 32}  # which this small one has positions for
    monkeypatch.setattr(BertCat, "rooms", {})
    assert open_ranker(str(tmp_path / "cat")).lengths == {"max_length": 230}


def test_a_stanford_colberts_masks_fill_its_queries(tmp_path: Path, tiny_checkpoint: Path) -> None:
    options = {"form": "stanford", "dim": 8, "markers": False, "skip_punctuation": False}
    save_tiny(tmp_path / "colbert", tiny_checkpoint, "colbert", options)
    opened = open_ranker(str(tmp_path / "colbert"))
    assert isinstance(opened.ranker.options, ColBertOptions)
    assert opened.ranker.rooms == {"query_length": 64, "document_length": 64}


def test_a_ranker_leaves_the_device_when_it_is_done(trained: Path) -> None:
    opened = open_ranker(str(trained / "bert_cat"))
    with opened.on(torch.device("meta")) as ranker:
        assert {parameter.device.type for parameter in ranker.parameters()} == {"meta"}
        opened.ranker.to_empty(device="cpu")
    with pytest.raises(RuntimeError, match="stop"), opened.on(torch.device("cpu")):
        raise RuntimeError("stop")


def test_all_scores_of_an_ensemble_come_from_one_place(trained: Path, tiny_beir: Path, tmp_path: Path) -> None:
    from distilkit.evaluation.rerank import score_pairs
    from distilkit.pipeline.reporter import Reporter
    from distilkit.pipeline.workspace import Workspace
    from distilkit.scoring.data_option import data_settings
    from distilkit.scoring.rankers import score_each
    from distilkit.training.processes import Processes

    processes, reporter = Processes(), Reporter(quiet=True)
    workspace = Workspace(tmp_path / "runs", processes, reporter)
    settings = data_settings(str(tiny_beir), "bm25")
    rankers = {name: open_ranker(str(trained / name)) for name in ("colbert", "bert_cat")}
    rows = np.array([3, 0, 3, 5]), np.array([1, 2, 30, 4])

    def tokens(opened: Any) -> Any:
        return opened.collection_tokens(opened.data(settings, workspace), workspace)

    options: dict[str, Any] = {"batch_size": 2, "precision": "fp32", "processes": processes}
    found = score_each(rankers, tokens, *rows, **options, reporter=reporter)
    assert found.shape == (4, 2)
    for column, opened in enumerate(rankers.values()):
        expected = score_pairs(opened.ranker, tokens(opened), *rows, **options, progress=lambda done, total: None)
        np.testing.assert_allclose(found[:, column], expected, rtol=1e-6)

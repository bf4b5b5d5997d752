"""`distilkit bench` on tiny rankers of all five architectures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import DOCUMENT_LENGTH, MAX_LENGTH, OPTIONS, QUERY_LENGTH, save_tiny

from distilkit.bench.index_time import index_documents
from distilkit.bench.query_time import Keeping, ReadTogether, Stopwatch, sizes_up_to, sweep_of
from distilkit.bench.workload import made_up
from distilkit.data.tokens import TokenStore
from distilkit.errors import RunFailed
from distilkit.models.encoded import EncodedFile
from distilkit.models.load import load_encoder, load_tokenizer
from distilkit.models.silence import silent
from distilkit.scoring.rankers import open_ranker

Cli = Callable[..., Any]
CPU = torch.device("cpu")
FAST = ("--queries", 2, "--warm-up", 1, "--batch-sizes", "2 8", "--bf16", "false", "--lengths", "5 9")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("benched")
    for architecture in OPTIONS:
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    return folder


@pytest.mark.parametrize("architecture", OPTIONS)
def test_every_figure_of_a_ranker(architecture: str, cli: Cli, models: Path, tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    options = ("--depth", 6, "--depth", 3, "--paper", "--output", output, "--json", *FAST)
    outcome = cli("bench", models / architecture, *options)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert json.loads(output.read_text()) == found
    assert (found["model"]["architecture"], found["model"]["trained"]) == (architecture, True)
    keeps = architecture != "bert_cat"
    for depth, one in zip((6, 3), found["query_time"]["depths"], strict=True):
        assert (one["depth"], one["documents"]) == (depth, depth)
        assert [entry["batch_size"] for entry in one["sweep"]] == [2, 8]
        assert [entry["batch_size"] for entry in one["sweep"] if entry["best"]] == [one["batch_size"]]
        for where in ("in", "out"):
            quantiles = one[f"ms_per_query_tokenisation_{where}"]
            assert 0 < quantiles["p50"] <= quantiles["p95"] <= quantiles["p99"]
        assert one["ms_per_query_tokenisation_in"]["p50"] > one["ms_per_query_tokenisation_out"]["p50"]
        parts = ["tokenise", "encode the query", "read and score documents"] if keeps else ["tokenise", "score"]
        assert list(one["parts_p50"]) == parts
    assert found["query_time"]["documents"] == ("kept" if keeps else "read with the query")
    assert found["macs"]["pair"]["agrees"]
    lengths = found["macs"]["query_length"], found["macs"]["document_length"]
    masks = 2 if architecture == "colbert" else 0
    assert lengths == ((QUERY_LENGTH + masks, DOCUMENT_LENGTH) if keeps else (5, MAX_LENGTH - 5))
    assert sum(found["macs"]["split"].values()) == found["macs"]["pair"]["formula"]
    assert found["peak_memory"]["query_time_bytes"] > 1e7
    paper = found["paper"]
    assert (paper["documents"], paper["distinct_documents"], paper["cached"]) == (1000, 6, keeps)
    row = found["table_1"]
    assert row["query_latency_ms"] == paper["ms_per_query"]["p50"] > 0
    assert (row["passage_cache"], row["nn_index"]) == (keeps, architecture in ("bert_dot", "colbert"))
    assert row["storage"] == {"bert_cat": None, "bert_dot": "|P|"}.get(architecture, "|T|")
    assert set(found["machine"]) >= {"cpu", "cores", "device", "precision", "threads", "load", "versions"}
    if not keeps:
        assert (found["index_time"], found["storage"]) == (None, None)
        return
    # 9 tokens of text, [CLS] and [SEP] around them; a prettr's documents have no [CLS], a tk's neither.
    vectors = {"bert_dot": 1, "colbert": 11, "prettr": 10, "tk": 9}[architecture]
    size = {"prettr": 16, "tk": 16}.get(architecture, 8)
    assert found["storage"]["bytes_per_document"] == vectors * size * 2
    assert found["storage"]["bytes_per_document_by_formula"] == vectors * size * 2
    assert found["index_time"]["documents"] == 6
    assert found["index_time"]["ms_per_document"] > 0


def test_the_text_says_it_all(cli: Cli, models: Path) -> None:
    outcome = cli("bench", models / "tk", "--depth", 4, *FAST)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(f"tk: {models / 'tk'}\n")
    for part in (
        "2 queries (made-up ones of 5 tokens, documents of 9), 4 documents, 1 queries of warm-up",
        "documents encoded before, read from disk in float16",
        "batch sizes at depth 4 (ms, median of a few queries): 2: ",
        "|T| vectors of 16 numbers in float16: 288 B per document measured, 288 B by formula",
        "m * n dot products and kernel pooling",
        "that are not matrix products; embedding look-up",
    ):
        assert part in outcome.out
    assert "Timed as in the Margin-MSE paper" not in outcome.out


@pytest.mark.parametrize("tokenises", [True, False])
@pytest.mark.parametrize("architecture", OPTIONS)
def test_what_is_timed_scores_the_documents(architecture: str, tokenises: bool, models: Path, tmp_path: Path) -> None:
    """Encodings are written to disk, read back, and give the scores of texts that are read together."""
    opened = open_ranker(str(models / architecture))
    workload = made_up(opened.tokenizer, queries=2, documents=7, lengths=(5, 9))
    length = opened.stored_length
    stores = [TokenStore.of(texts, opened.tokenizer, length) for texts in (workload.queries, workload.documents)]
    tokens: Any = opened.tokens(stores[0], stores[1])
    rows, watch = np.array([5, 0, 3, 6]), Stopwatch(CPU)
    with torch.no_grad():
        reading = ReadTogether(opened, workload, tokens, tokenises, CPU).scores(1, rows, 3, watch)
        assert np.ptp(reading) > 0.01
        assert list(watch.seconds) == (["tokenise", "score"] if tokenises else ["score"])
        if architecture == "bert_cat":
            return
        index_documents(opened.ranker, tokens, tmp_path / "documents", (4,), CPU, lambda done: None)
        documents = EncodedFile.open(tmp_path / "documents")
        keeping = Keeping(opened, workload, tokens, documents, tokenises, CPU).scores(1, rows, 3, Stopwatch(CPU))
    # float16 keeps three digits.
    np.testing.assert_allclose(keeping, reading, rtol=5e-3, atol=5e-3 * np.abs(reading).max())
    assert np.argsort(keeping).tolist() == np.argsort(reading).tolist()


def test_a_new_ranker_around_an_encoder(cli: Cli, tiny_checkpoint: Path, tmp_path: Path) -> None:
    with silent():
        load_encoder(tiny_checkpoint).save_pretrained(tmp_path / "encoder")
    load_tokenizer(tiny_checkpoint).save_pretrained(tmp_path / "encoder")
    call = ("bench", tmp_path / "encoder", "--depth", 2, "--tokenisation", "out", "--json", *FAST)
    options = (
        "--architecture",
        "colbert",
        "--option",
        "form=papers",
        "--option",
        "dim=4",
        "--shape",
        "L1_H16",
        "--query-length",
        9,
    )
    outcome = cli(*call, *options, "--document-length", 12)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["model"]["trained"], found["model"]["layers"], found["storage"]["vector_size"]) == (False, 1, 4)
    (depth,) = found["query_time"]["depths"]
    assert "ms_per_query_tokenisation_in" not in depth
    assert list(depth["parts_p50"]) == ["encode the query", "read and score documents"]
    outcome = cli(*call)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "is an encoder, not a ranker: name the --architecture" in outcome.err


def test_a_collection(cli: Cli, models: Path, tiny_beir: Path, tmp_path: Path) -> None:
    options = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs", "--depth", 5, "--json", *FAST)
    outcome = cli("bench", models / "bert_dot", *options)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert (found["workload"]["split"], found["workload"]["queries"]) == ("test", 2)
    assert 5 <= found["workload"]["documents"] <= 10
    assert found["query_time"]["depths"][0]["documents"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--batch-sizes", "16 x"), "--batch-sizes x: expected whole numbers, such as 16 32 64"),
        (("--batch-sizes", "0"), "--batch-sizes: expected whole numbers from 1"),
        (("--lengths", "28"), "--lengths 28: expected two whole numbers, of queries and of documents"),
        (("--option", "dim=4"), "--option and --shape are for a new ranker around an encoder"),
        (("--architecture", "colbert", "--option", "dim=4"), "is a bert_dot already"),
        (("--architecture", "colbert"), "holds a bert_dot, not a colbert"),
        (("--data", "nowhere"), "--data nowhere: there is no such folder"),
    ],
)
def test_wrong_input(options: tuple[str, ...], message: str, cli: Cli, models: Path) -> None:
    outcome = cli("bench", models / "bert_dot", *options)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1), outcome.err
    assert message in outcome.err


def test_the_batch_sizes_that_are_tried() -> None:
    assert sizes_up_to([64, 16, 32, 64], 20) == [16, 32]
    assert sizes_up_to([16, 32], 16) == [16]
    assert sizes_up_to([16, 32], 100) == [16, 32]


def test_a_sweep_keeps_the_best_that_fits() -> None:
    def seconds(size: int) -> list[float]:
        if size > 3:
            raise torch.OutOfMemoryError
        return [1.0, [9.0, 4.5, 4.5][size - 1], 20.0]

    found = sweep_of([1, 2, 3, 4], seconds)
    assert found.seconds == {1: 9.0, 2: 4.5, 3: 4.5, 4: None}
    assert found.best == 2
    assert found.to_json()[3] == {"batch_size": 4, "ms": None, "best": False}
    with pytest.raises(RunFailed, match="not even one of 4"):
        _ = sweep_of([4], seconds).best

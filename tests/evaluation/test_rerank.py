"""Scores of pairs: independent of how they are batched, and those of the libraries that load the finished model."""

import json
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distilkit.data.candidates import Candidates
from distilkit.data.collection import open_collection, write_collection
from distilkit.data.tokens import PairTokens, Template, TokenStore, write_token_store
from distilkit.errors import RunFailed
from distilkit.evaluation.cost import ROUNDS, WARM_UP, Timed, by_turns, measure_cost
from distilkit.evaluation.rerank import score_batch, score_pairs
from distilkit.evaluation.trec import read_run
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.load import load_tokenizer
from distilkit.models.macs import encoder_macs
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import execute
from distilkit.recipe import load_with_source
from distilkit.training.processes import Processes

WORDS = ["apple", "river", "engine", "violin", "desert", "copper", "planet", "red", "old", "slow", "the", "of"]
QUERIES = [" ".join(WORDS[i % 12] for i in range(at, at + 2 + at % 4)) for at in range(6)]
PASSAGES = [" ".join(WORDS[(i * 5) % 12] for i in range(at, at + 1 + 3 * at % 29)) for at in range(25)]
MAX_LENGTH = 24


@pytest.fixture(scope="module")
def ranker(tiny_checkpoint: Path) -> BertCat:
    """Return the tiny checkpoint with weights so large that scores differ."""
    model = load_cat(tiny_checkpoint)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8.0)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a collection and its candidates: ten passages for each query but the last."""
    folder = tmp_path_factory.mktemp("rerank")
    write_collection(
        folder / "collection",
        name="tiny",
        passages=[(f"p{number}", text) for number, text in enumerate(PASSAGES)],
        queries=[(f"q{number}", text) for number, text in enumerate(QUERIES)],
        qrels={"test": {f"q{number}": {"p1": 1} for number in range(len(QUERIES))}},
    )
    return folder


@pytest.fixture(scope="module")
def candidates(folder: Path) -> Candidates:
    rng = np.random.default_rng(0)
    run = {f"q{query}": [(f"p{p}", float(-p)) for p in rng.permutation(25)[: 10 - query]] for query in range(5)}
    return Candidates.of_run(open_collection(folder / "collection"), run, [f"q{number}" for number in range(6)], 10)


@pytest.fixture(scope="module")
def tokens(folder: Path, tiny_checkpoint: Path) -> PairTokens:
    collection, tokenizer = open_collection(folder / "collection"), load_tokenizer(tiny_checkpoint)
    stores = []
    for name, table in [("q", collection.queries), ("p", collection.passages)]:
        (folder / name).mkdir()
        write_token_store(folder / name, table, tokenizer, MAX_LENGTH, lambda done, total: None)
        stores.append(TokenStore.open(folder / name))
    return PairTokens(stores[0], stores[1], Template.of(tokenizer), MAX_LENGTH)


Score = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def score(ranker: BertCat, tokens: PairTokens) -> Score:
    def run(queries: np.ndarray, passages: np.ndarray, batch_size: int = 8, **more: Any) -> np.ndarray:
        options = {"precision": "fp32", "processes": Processes(), "progress": lambda done, total: None} | more
        return score_pairs(options.pop("ranker", ranker), tokens, queries, passages, batch_size=batch_size, **options)

    return run


def test_scores_depend_on_the_pair_alone(score: Score, candidates: Candidates) -> None:
    queries, passages = candidates.pairs()
    assert len(queries) == 10 + 9 + 8 + 7 + 6
    expected = score(queries, passages, 8)
    assert np.std(expected) > 0.02
    for batch_size in (1, 3, 64):
        np.testing.assert_allclose(score(queries, passages, batch_size), expected, rtol=0, atol=1e-5)
    order = np.random.default_rng(1).permutation(len(queries))
    np.testing.assert_allclose(score(queries[order], passages[order]), expected[order], rtol=0, atol=1e-5)


def test_scores_are_those_of_the_tokenizer_and_the_model(
    score: Score, candidates: Candidates, ranker: BertCat, tiny_checkpoint: Path
) -> None:
    queries, passages = candidates.pairs()
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    texts = [QUERIES[query] for query in queries], [PASSAGES[passage] for passage in passages]
    encoded = tokenizer(*texts, truncation=True, max_length=MAX_LENGTH, padding=True, return_tensors="pt")
    ranker.model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = ranker.model(**encoded).logits[:, 0].double().numpy()
    ranker.model.set_attn_implementation("distilkit")
    np.testing.assert_allclose(score(queries, passages), expected, rtol=0, atol=1e-5)


def test_scores_without_padding_are_the_same(tokens: PairTokens, candidates: Candidates, ranker: BertCat) -> None:
    queries, passages = candidates.pairs()
    assert len(set(tokens.lengths(queries, passages).tolist())) > 3
    given = ranker, tokens, queries, passages, torch.device("cpu")
    with torch.no_grad():
        padded, packed, by_default = (score_batch(*given, one) for one in (False, True, None))
    np.testing.assert_allclose(packed, padded, rtol=0, atol=1e-5)
    assert (packed != padded).any()
    np.testing.assert_array_equal(by_default, padded)


def test_progress_ends_at_all_pairs_and_the_mode_is_restored(
    score: Score, candidates: Candidates, ranker: BertCat
) -> None:
    seen: list[tuple[int, int]] = []
    ranker.train()
    first = score(*candidates.pairs(), 16, progress=lambda done, total: seen.append((done, total)))
    assert ranker.training
    ranker.eval()
    assert seen == [(16, 40), (32, 40), (40, 40)]
    np.testing.assert_array_equal(first, score(*candidates.pairs(), 16))  # without dropout, although in training
    assert not ranker.training


def test_no_pairs_have_no_scores(score: Score) -> None:
    nothing = np.zeros(0, np.int64)
    assert score(nothing, nothing).shape == (0,)


def test_bf16_is_near(score: Score, candidates: Candidates) -> None:
    plain, rounded = (score(*candidates.pairs(), precision=precision) for precision in ("fp32", "bf16"))
    assert not np.array_equal(plain, rounded)
    np.testing.assert_allclose(rounded, plain, rtol=0.1, atol=0.1)


def test_scores_that_are_not_finite_end_the_run(score: Score, candidates: Candidates, tiny_checkpoint: Path) -> None:
    broken = load_cat(tiny_checkpoint)
    with torch.no_grad():
        broken.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(RunFailed, match="40 of 40 scores are not finite"):
        score(*candidates.pairs(), ranker=broken)


@pytest.mark.parametrize(
    ("size", "expected"), [((12, 768, 3072), 22.951), ((6, 768, 3072), 11.476), ((3, 384, 1536), 1.510)]
)
def test_multiply_accumulates_are_the_papers(size: tuple[int, int, int], expected: float) -> None:
    assert round(encoder_macs(*size, 256) / 1e9, 3) == expected


def test_cost_has_its_keys(ranker: BertCat, tokens: PairTokens, candidates: Candidates) -> None:
    cost = measure_cost(ranker, tokens, candidates, 10, 4, "fp32")
    assert list(cost) == [
        "parameters",
        "weight_bytes",
        "macs_per_pair",
        "length",
        "depth",
        "batch_size",
        "peak_memory_bytes",
        "bytes_per_document",
    ]
    assert cost["parameters"] == sum(parameter.numel() for parameter in ranker.model.parameters())
    assert cost["macs_per_pair"] == encoder_macs(4, 16, 64, MAX_LENGTH)
    assert (cost["length"], cost["depth"], cost["batch_size"]) == (MAX_LENGTH, 10, 4)
    assert 1e7 < cost["peak_memory_bytes"] < 1e11
    json.dumps(cost, allow_nan=False)


def test_rankers_are_timed_by_turns(ranker: BertCat, tokens: PairTokens, candidates: Candidates) -> None:
    one = Timed(ranker, tokens, 4, "fp32")
    found = by_turns({"own": (candidates, [one]), "both": (candidates, [one, one])}, torch.device("cpu"))
    for latency in found.values():
        assert 0 < latency.ms_per_query["p50"] <= latency.ms_per_query["p95"] <= latency.ms_per_query["p99"]  # type: ignore[operator]
        assert len(latency.rounds) == min(ROUNDS, len(candidates.queries))
    # Two of the same ranker take longer than one, whatever else the machine does.
    ratios = [other / own for own, other in zip(found["own"].rounds, found["both"].rounds, strict=True)]
    assert statistics.median(ratios) > 1


def test_each_query_is_timed_once_in_every_system_and_none_is_always_first(
    ranker: BertCat, tokens: PairTokens, candidates: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[int, int]] = []

    def scored(of: object, tokens: object, query: int, *rest: object) -> np.ndarray:
        order.append((id(of), query))
        return np.zeros(1)

    monkeypatch.setattr("distilkit.evaluation.cost.score_query", scored)
    other = BertCat(ranker.model)
    systems = {one: (candidates, [Timed(one, tokens, 4, "fp32")]) for one in (ranker, other)}
    by_turns(systems, torch.device("cpu"))
    ranked = [int(query) for query, row in zip(candidates.queries, candidates.passages, strict=True) if max(row) >= 0]
    timed = order[2 * min(WARM_UP, len(ranked)) :]
    assert sorted(timed) == sorted((id(of), query) for of in (ranker, other) for query in ranked)
    pairs = list(zip(timed[::2], timed[1::2], strict=True))
    assert all(one[1] == two[1] and one[0] != two[0] for one, two in pairs)
    assert {one[0] for one, _ in pairs} == {id(ranker), id(other)}


def test_nothing_is_timed_without_a_query(ranker: BertCat, tokens: PairTokens, candidates: Candidates) -> None:
    none = Candidates(candidates.queries, np.full_like(candidates.passages, -1), candidates.scores)
    assert measure_cost(ranker, tokens, none, 10, 4, "fp32")["parameters"] > 0
    found = by_turns({"own": (none, [Timed(ranker, tokens, 4, "fp32")])}, torch.device("cpu"))["own"]
    assert found == ({"p50": None, "p95": None, "p99": None}, [])


def test_cost_of_a_distilbert(tokens: PairTokens, candidates: Candidates) -> None:
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    config = DistilBertConfig(vocab_size=40, dim=8, n_layers=2, n_heads=2, hidden_dim=24, num_labels=1)
    ranker = BertCat(DistilBertForSequenceClassification(config).eval())
    plain = PairTokens(tokens.queries, tokens.passages, tokens.template, tokens.max_length)
    assert measure_cost(ranker, plain, candidates, 10, 8, "fp32")["macs_per_pair"] == encoder_macs(2, 8, 24, MAX_LENGTH)


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run whose student has two labels while it is trained."""
    runs = tmp_path_factory.mktemp("runs")
    recipe, source = load_with_source(
        tiny_recipe, ["twin.budget=none", "student.num_labels=2", "train.learning_rate=1e-2"]
    )
    run = execute(Request(recipe, source, runs), quiet=True)
    assert run is not None
    return run.path


def texts_of(beir: Path) -> tuple[dict[str, str], dict[str, str]]:
    return tuple(  # type: ignore[return-value]
        {row["_id"]: row["text"] for row in map(json.loads, (beir / name).read_text().splitlines())}
        for name in ("queries.jsonl", "corpus.jsonl")
    )


@pytest.fixture(scope="module")
def pairs(finished: Path, tiny_beir: Path) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Return the texts of a finished run's pairs, and their scores in run.trec."""
    queries, passages = texts_of(tiny_beir)
    run = read_run(finished / "eval" / "test" / "run.trec")
    rows = [(query, passage, score) for query, results in run.items() for passage, score in results]
    assert len(rows) == 80
    assert len({score for *_, score in rows}) > 20
    return [(queries[query], passages[passage]) for query, passage, _ in rows], np.array([row[2] for row in rows])


def test_run_trec_holds_what_transformers_computes(
    finished: Path, pairs: tuple[list[tuple[str, str]], np.ndarray]
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(finished / "model", attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    texts, scores = pairs
    encoded = tokenizer(
        [q for q, _ in texts], [p for _, p in texts], truncation=True, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(**encoded).logits
    assert logits.shape == (80, 1)
    np.testing.assert_allclose(logits[:, 0].double().numpy(), scores, rtol=0, atol=1e-5)


def test_run_trec_holds_what_sentence_transformers_computes(
    finished: Path, pairs: tuple[list[tuple[str, str]], np.ndarray]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import CrossEncoder

        model = CrossEncoder(str(finished / "model"), device="cpu")
        texts, scores = pairs
        found = model.predict(texts, show_progress_bar=False)
    np.testing.assert_allclose(found, scores, rtol=0, atol=1e-5)


def test_cost_of_a_finished_run(finished: Path) -> None:
    cost = json.loads((finished / "eval" / "test" / "cost.json").read_text())
    assert set(cost) == {
        *("parameters", "weight_bytes", "macs_per_pair", "length", "ms_per_query", "depth", "batch_size"),
        "peak_memory_bytes",
        *("bytes_per_document", "training_seconds", "teacher_seconds", "grid_seconds", "machine", "latency"),
        "budget",
    }
    assert list(cost["training_seconds"]) == ["distil"]
    assert cost["training_seconds"]["distil"] > 0
    assert cost["teacher_seconds"] > 0
    assert cost["grid_seconds"] == 0

"""Rankers that encode queries and passages apart encode each text once, and score as they do pair by pair."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import DOCUMENT_LENGTH, OPTIONS, QUERY_LENGTH, save_tiny

from distilkit.data.side_tokens import SideTokens
from distilkit.data.tokens import TokenStore
from distilkit.evaluation import rerank
from distilkit.evaluation.rerank import score_batch, score_pairs
from distilkit.models.dot import BertDot
from distilkit.models.load import load_tokenizer
from distilkit.progress import OneProcess
from distilkit.training.processes import Processes

WORDS = ["apple", "river", "engine", "violin", "desert", "copper", "planet", "red", "old", "slow", "the", "of"]
TEXTS = [" ".join(WORDS[(at + i * 5) % 12] for i in range(1 + 3 * at % 11)) for at in range(12)]
CPU = torch.device("cpu")


def tiny(folder: Path, checkpoint: Path, architecture: str, **options: Any) -> tuple[Any, SideTokens]:
    ranker = save_tiny(folder, checkpoint, architecture, {**OPTIONS[architecture], **options})
    tokenizer = load_tokenizer(checkpoint)
    stores = [TokenStore.of(texts, tokenizer, 64) for texts in (TEXTS[:6], TEXTS)]
    return ranker, ranker.options.text_format.tokens(
        tokenizer, *stores, {"query_length": QUERY_LENGTH, "document_length": DOCUMENT_LENGTH}
    )


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Return six queries with five of twelve passages each, in no order."""
    rng = np.random.default_rng(5)
    found = [(query, passage) for query in range(6) for passage in rng.permutation(12)[:5]]
    queries, passages = np.array(found)[rng.permutation(30)].T
    return queries, passages


def scored(ranker: Any, tokens: Any, queries: Any, passages: Any, batch_size: int = 4, **more: Any) -> np.ndarray:
    given = {"precision": "fp32", "processes": Processes(), "progress": lambda done, total: None} | more
    return score_pairs(ranker, tokens, queries, passages, batch_size=batch_size, **given)


def encoded_rows(ranker: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count the texts of either side that a ranker encodes from now on."""
    counts = {"encode_query": 0, "encode_document": 0}
    for name in counts:
        original = getattr(ranker, name)

        def counted(batch: Any, *more: Any, name: str = name, original: Any = original) -> Any:
            counts[name] += len(batch.input_ids)
            return original(batch, *more)

        monkeypatch.setattr(ranker, name, counted)
    return counts


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert", "prettr", "tk"])
def test_each_text_is_encoded_once_and_scores_are_those_of_single_pairs(
    architecture: str, tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranker, tokens = tiny(tmp_path, tiny_checkpoint, architecture)
    queries, passages = pairs()
    with torch.no_grad():
        one_by_one = [
            score_batch(ranker, tokens, *(side[at : at + 1] for side in (queries, passages)), CPU) for at in range(30)
        ]
    expected = np.concatenate(one_by_one)
    assert np.std(expected) > 1e-3
    close = {"rtol": 1e-4, "atol": 1e-4}
    counts = encoded_rows(ranker, monkeypatch)
    seen: list[int] = []
    found = scored(ranker, tokens, queries, passages, progress=lambda done, total: seen.append(done))
    np.testing.assert_allclose(found, expected, **close)
    assert seen[-1] == 30
    as_queries = 12 if architecture in ("bert_dot", "colbert") else 0  # where documents are read as queries are
    assert counts == {"encode_query": 6 + as_queries, "encode_document": 12}
    # Two queries in memory at a time.
    monkeypatch.setattr(rerank, "QUERY_TOKENS", 2 * tokens.queries.longest)
    for batch_size in (1, 7, 64):
        np.testing.assert_allclose(scored(ranker, tokens, queries, passages, batch_size), expected, **close)


def test_processes_share_the_pairs_out(tmp_path: Path, tiny_checkpoint: Path) -> None:
    class Part(OneProcess):
        """One of two processes, which keeps its own share."""

        count, device = 2, CPU

        def __init__(self, rank: int) -> None:
            self.rank = rank

        def gather(self, value: Any) -> Any:
            shares.append(value)
            return super().gather(value)

    ranker, tokens = tiny(tmp_path, tiny_checkpoint, "colbert")
    queries, passages = pairs()
    shares: list[list[Any]] = []
    for rank in (0, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rerank.np, "isfinite", lambda scores: np.ones(len(scores), bool))
            scored(ranker, tokens, queries, passages, processes=Part(rank))
    first, second = (np.concatenate([places for places, _ in share]) for share in shares)
    assert sorted([*first, *second]) == list(range(30))
    assert len(first) > 5 < len(second)


@pytest.mark.parametrize("kind", ["documents beside queries", "a forward of its own", "no text twice"])
def test_other_rankers_and_pairs_are_scored_pair_by_pair(
    kind: str, tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Added(BertDot):
        def forward(self, batch: Any) -> Any:
            return super().forward(batch) + 7

    def never(*given: Any) -> Any:
        raise AssertionError("encoded apart")

    architecture, options = ("prettr", {"document_offset": "batch"}) if kind.startswith("doc") else ("bert_dot", {})
    ranker, tokens = tiny(tmp_path, tiny_checkpoint, architecture, **options)
    queries, passages = pairs()
    expected = scored(ranker, tokens, queries, passages)
    if kind.startswith("a forward"):
        ranker.__class__, expected = Added, expected + 7
    if kind.startswith("no text"):
        queries, passages = np.arange(6), np.arange(6)
        expected = scored(ranker, tokens, queries, passages)
    monkeypatch.setattr(rerank, "_encoded_once", never)
    np.testing.assert_allclose(scored(ranker, tokens, queries, passages), expected, rtol=1e-4, atol=1e-4)

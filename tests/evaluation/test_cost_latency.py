"""What `latency`, `memory`, `storage` and `cost` measure is what they say."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_rankers import OPTIONS, save_tiny

from distilkit.data.candidates import Candidates
from distilkit.evaluation.cost import (
    measure_cost,
    milliseconds,
    peak_memory,
    reset_peak,
    score_query,
    seconds_of,
    timed,
)
from distilkit.models.encoded import encode_rows, save_encoded
from distilkit.scoring.rankers import OpenRanker, open_ranker

CPU = torch.device("cpu")
TEXTS = ["the red apple", "of the old river and the old river", "engine", "slow bright small cold deep quiet sharp"]


def tokens_of(opened: OpenRanker) -> object:
    from distilkit.data.tokens import TokenStore

    stores = [TokenStore.of(texts, opened.tokenizer, opened.stored_length) for texts in (TEXTS[:2], TEXTS)]
    return opened.tokens(stores[0], stores[1])


def test_quantiles_are_in_milliseconds() -> None:
    assert milliseconds([0.001 * value for value in range(101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert milliseconds([]) == {"p50": None, "p95": None, "p99": None}


def test_the_warm_up_is_done_and_not_counted() -> None:
    done: list[int] = []
    assert len(timed((lambda number=number: done.append(number) for number in range(5)), 3, CPU)) == 2
    assert done == [0, 1, 2, 3, 4]
    assert seconds_of(lambda: torch.ones(3), CPU) > 0


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is kept for good elsewhere")
def test_the_peak_follows_the_work() -> None:
    reset_peak(CPU)
    before = peak_memory(CPU)
    with mmap.mmap(-1, 1 << 28) as block:  # which the system gets back at once, as it does not from malloc
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1
    assert peak_memory(CPU) > before + 200_000_000
    reset_peak(CPU)
    assert peak_memory(CPU) < before + 100_000_000


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_runs_cost_and_the_bytes_of_a_document(architecture: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", tiny_checkpoint, architecture)
    opened = open_ranker(str(tmp_path / "model"))
    ranker, tokens = opened.ranker, tokens_of(opened)
    passages = np.array([[0, 1, 2], [3, 1, -1]])
    cost = measure_cost(ranker, tokens, Candidates(np.array([0, 1]), passages, np.zeros((2, 3))), 3, 2, "fp32")
    if architecture == "bert_cat":
        assert cost["bytes_per_document"] is None
        return
    with torch.no_grad():
        encoded = encode_rows(ranker.encode_document, tokens.documents, np.arange(4), batch_size=2, device=CPU)  # type: ignore[attr-defined]
    save_encoded(tmp_path / "kept", encoded)
    vectors = encoded.states if encoded.mask is None else encoded.states[encoded.mask]
    assert cost["bytes_per_document"] == vectors.numel() * 2 / 4
    assert 0 < (tmp_path / "kept").stat().st_size - vectors.numel() * 2 < 400  # the file's header, and lengths


def test_scores_come_in_the_order_of_the_passages(tiny_checkpoint: Path, tmp_path: Path) -> None:
    save_tiny(
        tmp_path / "model",
        tiny_checkpoint,
        "colbert",
        {"form": "papers", "dim": 8, "query_masks": 2, "skip_punctuation": True},
    )
    opened = open_ranker(str(tmp_path / "model"))
    tokens = tokens_of(opened)
    with torch.no_grad():
        whole = score_query(opened.ranker, tokens, 1, np.array([2, 0, 3, 1]), 2, CPU)
        alone = [score_query(opened.ranker, tokens, 1, np.array([row]), 8, CPU)[0] for row in (2, 0, 3, 1)]
    np.testing.assert_allclose(whole, alone, rtol=1e-5)


def test_a_prettr_whose_positions_follow_the_batch_keeps_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    options = {"join_layer": 1, "document_offset": "batch"}
    ranker = save_tiny(tmp_path / "model", tiny_checkpoint, "prettr", options)
    assert not ranker.keeps_documents
    assert ranker.storage_unit is None
    assert ranker.bytes_per_document(None, np.arange(3)) is None

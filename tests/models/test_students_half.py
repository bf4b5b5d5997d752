"""In half precision every ranker ranks as in single precision, as the model cards of the published ones promise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from tiny_models import tiny_batch
from tiny_rankers import OPTIONS, save_tiny

from distilkit.models.batch import SideBatch
from distilkit.models.encoded import load_encoded, save_encoded
from distilkit.models.load import load_ranker

LISTS, DEPTH = 4, 24


def batch_of(architecture: str, seed: int) -> Any:
    """Return a query with many passages of unequal lengths, of words that the tiny checkpoint knows."""
    lengths = [3 + (seed + 5 * row) % 14 for row in range(DEPTH)]
    documents = tiny_batch(lengths, seed=seed)
    documents = type(documents)(documents.input_ids % 29, documents.attention_mask, documents.token_type_ids)
    if architecture == "bert_cat":
        return documents
    query = tiny_batch([6], seed=seed + 100)
    query = type(query)(query.input_ids % 29, query.attention_mask, query.token_type_ids)
    return SideBatch(query, documents, torch.zeros(DEPTH, dtype=torch.long))


def scores(ranker: Any, architecture: str) -> Any:
    with torch.no_grad():
        return np.stack([ranker.score(batch_of(architecture, seed)).double().numpy() for seed in range(LISTS)])


@pytest.mark.parametrize("architecture", OPTIONS)
def test_half_precision_ranks_alike(architecture: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path / "model", tiny_checkpoint, architecture)
    single = scores(load_ranker(tmp_path / "model"), architecture)
    half = scores(load_ranker(tmp_path / "model", dtype=torch.float16), architecture)
    with torch.autocast("cpu", torch.float16):
        mixed = scores(load_ranker(tmp_path / "model"), architecture)
    spread = np.ptp(single, axis=1, keepdims=True)
    assert (spread > 0.05).all()
    for coarse in (half, mixed):
        assert np.isfinite(coarse).all()
        assert (np.abs(coarse - single) / spread).max() < 0.02
        assert np.mean([kendalltau(*pair).statistic for pair in zip(single, coarse, strict=True)]) > 0.98
        # Whatever differs visibly in one is in the same order in the other.
        apart = single[:, :, None] - single[:, None, :] > 0.04 * spread[:, :, None]
        assert (coarse[:, :, None] > coarse[:, None, :])[apart].all()


@pytest.mark.parametrize("architecture", ["bert_dot", "colbert", "prettr", "tk"])
def test_documents_kept_in_half_precision_rank_alike(architecture: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    ranker = save_tiny(tmp_path / "model", tiny_checkpoint, architecture)
    for seed in range(LISTS):
        batch = batch_of(architecture, seed)
        with torch.no_grad():
            save_encoded(tmp_path / "documents.safetensors", ranker.encode_document(batch.document))
            queries = ranker.encode_query(batch.query).rows(batch.query_index)
            kept = ranker.score_encoded(queries, load_encoded(tmp_path / "documents.safetensors")).numpy()
            single = ranker.score(batch).numpy()
        assert np.abs(kept - single).max() < 0.01 * np.ptp(single)
        assert kendalltau(kept, single).statistic > 0.98

"""Searching single vectors with FAISS, an optional extra."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from distilkit.errors import UserError
from distilkit.evaluation.top import Top, best
from distilkit.models.encoded import Encoded


def require_faiss() -> Any:
    """Import and return FAISS; raises UserError where it is not installed."""
    try:
        import faiss  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise UserError("--faiss needs FAISS, which is not installed: pip install 'distilkit[faiss]'") from None
    return faiss


def search_faiss(queries: Encoded, blocks: Iterable[tuple[int, Encoded]], depth: int, kind: str) -> Top:
    """Return the places of each query's best documents, as an index of FAISS finds them.

    Args:
        queries: a vector per query
        blocks: a vector per document, each block with the place of its first one, from 0 on
        depth: how many documents a query gets
        kind: what FAISS's `index_factory` takes: `Flat` is exact, `HNSW32` or `IVF1024,Flat` are not

    A kind that is trained is so on the first block. Raises UserError for a kind that FAISS cannot make or train.
    """
    faiss = require_faiss()
    index: Any = None
    for _, block in blocks:
        vectors = _array(block)
        if index is None:
            index = _index(faiss, vectors, kind)
        index.add(vectors)
    scores, places = index.search(_array(queries), min(depth, index.ntotal))
    if (places < 0).any():
        raise UserError(f"--faiss {kind}: finds fewer than {depth} documents; take a kind that searches more, or Flat")
    return best(torch.from_numpy(scores), torch.from_numpy(places.astype(np.int64)), depth)


def _index(faiss: Any, vectors: Any, kind: str) -> Any:
    try:
        index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"--faiss {kind}: FAISS cannot make such an index: {reason}") from None
    return index


def _array(encoded: Encoded) -> Any:
    return np.ascontiguousarray(encoded.states.float().cpu().numpy())

"""What a ranker costs: parameters, multiply-accumulates, milliseconds a query, memory."""

import resource
import sys
import time
from typing import Any

import numpy as np
import torch

from distilkit.data.candidates import Candidates
from distilkit.data.tokens import PairTokens
from distilkit.evaluation.macs import pair_macs
from distilkit.evaluation.rerank import computing, score_batch
from distilkit.training.precision import Precision

WARM_UP = 3
QUERIES = 20


def measure_cost(
    ranker: Any, tokens: Any, candidates: Candidates, depth: int, batch_size: int, precision: Precision
) -> dict[str, Any]:
    """Time the re-ranking of single queries, padding and token look-up included, tokenisation not."""
    device = next(ranker.parameters()).device
    rows = [row for row in range(len(candidates.queries)) if (candidates.passages[row] >= 0).any()]
    seconds = []
    ranker.eval()
    with torch.no_grad(), computing(precision, device):
        for number, row in enumerate(rows[: QUERIES + WARM_UP]):
            passages = np.asarray(candidates.passages[row])
            passages = passages[passages >= 0]
            if isinstance(tokens, PairTokens) and tokens.documents is not None:
                passages, _ = tokens.documents.windows.of(passages)
            queries = np.full(len(passages), candidates.queries[row])
            _synchronise(device)
            start = time.perf_counter()
            for at in range(0, len(passages), batch_size):
                score_batch(ranker, tokens, queries[at : at + batch_size], passages[at : at + batch_size], device)
            _synchronise(device)
            if number >= WARM_UP:
                seconds.append(time.perf_counter() - start)
    quantiles = np.quantile(seconds, [0.5, 0.95, 0.99]) * 1000 if seconds else [None] * 3
    return {
        "parameters": ranker.parameter_count,
        "macs_per_pair": pair_macs(ranker, tokens),
        "length": tokens.max_length,
        "ms_per_query": dict(zip(("p50", "p95", "p99"), map(_rounded, quantiles), strict=True)),
        "depth": depth,
        "batch_size": batch_size,
        "peak_memory_bytes": _peak_memory(device),
        "bytes_per_document": None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux counts kilobytes here, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

"""What a run's ranker costs: parameters, multiply-accumulates, milliseconds a query, memory, storage."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.candidates import Candidates
from distilkit.data.tokens import PairTokens
from distilkit.evaluation.latency import milliseconds, score_query, timed
from distilkit.evaluation.macs import pair_macs
from distilkit.evaluation.memory import peak_memory, reset_peak
from distilkit.evaluation.rerank import computing
from distilkit.evaluation.storage import bytes_per_document
from distilkit.training.precision import Precision

Integers = npt.NDArray[np.int64]

WARM_UP = 3
QUERIES = 20
# Of more documents than twice these the mean size is that of a sample.
DOCUMENTS = 10_000


def measure_cost(
    ranker: Any, tokens: Any, candidates: Candidates, depth: int, batch_size: int, precision: Precision
) -> dict[str, Any]:
    """Return a run's cost.json, but for what training took.

    What is timed is the re-ranking of single queries with nothing kept: padding and token look-up included,
    tokenisation not. `bytes_per_document` is on the mean over the candidates, None where documents cannot be kept.
    """
    device = next(ranker.parameters()).device
    ranker.eval()
    reset_peak(device)
    with torch.no_grad(), computing(precision, device):
        seconds = timed(_works(ranker, tokens, candidates, batch_size, device), WARM_UP, device)
    return {
        "parameters": ranker.parameter_count,
        "macs_per_pair": pair_macs(ranker, tokens),
        "length": tokens.max_length,
        "ms_per_query": milliseconds(seconds),
        "depth": depth,
        "batch_size": batch_size,
        "peak_memory_bytes": peak_memory(device),
        "bytes_per_document": bytes_per_document(ranker, tokens, _documents(candidates)),
    }


def _works(
    ranker: Any, tokens: Any, candidates: Candidates, batch_size: int, device: torch.device
) -> Iterator[Callable[[], Any]]:
    """Yield the re-ranking of the first queries that have candidates."""
    rows = [row for row in range(len(candidates.queries)) if (candidates.passages[row] >= 0).any()]
    for row in rows[: QUERIES + WARM_UP]:
        passages = np.asarray(candidates.passages[row])
        passages = passages[passages >= 0]
        if isinstance(tokens, PairTokens) and tokens.documents is not None:
            passages, _ = tokens.documents.windows.of(passages)
        yield partial(score_query, ranker, tokens, int(candidates.queries[row]), passages, batch_size, device)


def _documents(candidates: Candidates) -> Integers:
    """Return the candidates, each once; every so many-th of very many."""
    found: Integers = np.unique(np.asarray(candidates.passages))
    found = found[found >= 0]
    return found[:: max(1, len(found) // DOCUMENTS)]

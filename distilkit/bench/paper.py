"""The Margin-MSE paper's way of timing, and the columns of its table 1."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import numpy as np
import torch

from distilkit.bench.query_time import repeated
from distilkit.bench.request import PAPER_DEPTH
from distilkit.evaluation.latency import milliseconds, timed
from distilkit.evaluation.memory import peak_memory, reset_peak
from distilkit.evaluation.storage import storage_unit
from distilkit.models.batch import TokenBatch, batch_of
from distilkit.models.encoded import Encoded, EncodedFile
from distilkit.models.moving import on_device

CONDITIONS = (
    "one query and 1,000 documents in one batch; encoded documents in memory where the ranker can keep them; "
    "neither tokenisation nor reading nor copying to the device"
)


def paper_timing(
    ranker: Any,
    tokens: Any,
    documents: EncodedFile | None,
    rows: Any,
    queries: int,
    warm_up: int,
    device: torch.device,
    advance: Callable[[], object],
) -> dict[str, Any]:
    """Return a query's median as section 5.3 of Hofstätter et al. 2020 measures it, and the peak memory.

    Args:
        ranker: the ranker
        tokens: its tokens of queries and documents
        documents: the encoded documents; None where nothing is kept
        rows: some documents; they are repeated up to 1,000
        queries: how many are timed
        warm_up: how many are done before
        device: where the ranker is
        advance: called after each query
    """
    rows = np.resize(rows, PAPER_DEPTH)
    reset_peak(device)
    found: dict[str, Any] = {
        "documents": PAPER_DEPTH,
        "distinct_documents": len(np.unique(rows)),
        "cached": documents is not None,
        "conditions": CONDITIONS,
    }
    try:
        numbers = [query % queries for query in range(warm_up + queries)]
        if documents is None:
            works = _read(ranker, tokens, rows, numbers, device)
        else:
            works = _kept(ranker, tokens, documents.rows(torch.from_numpy(rows)).to(device), numbers, device)
        seconds = timed(_counted(works, advance), warm_up, device)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return {**found, "ms_per_query": None, "peak_memory_bytes": None}
    return {**found, "ms_per_query": milliseconds(seconds), "peak_memory_bytes": peak_memory(device)}


def _read(ranker: Any, tokens: Any, rows: Any, queries: list[int], device: torch.device) -> Iterator[Callable[[], Any]]:
    for query in queries:
        batch = on_device(batch_of(tokens.batch(np.full(len(rows), query), rows)), device)
        yield partial(ranker.score, batch)


def _kept(
    ranker: Any, tokens: Any, documents: Encoded, queries: list[int], device: torch.device
) -> Iterator[Callable[[], Any]]:
    for query in queries:
        batch = cast(TokenBatch, on_device(batch_of(tokens.queries.batch(np.array([query]))), device))
        yield partial(_score_kept, ranker, batch, documents)


def _score_kept(ranker: Any, query: TokenBatch, documents: Encoded) -> Any:
    return ranker.score_encoded(repeated(ranker.encode_query(query), len(documents)), documents)


def _counted(works: Iterator[Callable[[], Any]], advance: Callable[[], object]) -> Iterator[Callable[[], Any]]:
    for work in works:
        yield work
        advance()  # between two pieces of work, where it is not timed


def table_1(ranker: Any, paper: dict[str, Any] | None) -> dict[str, Any]:
    """Return a ranker's row of table 1; its relative effectiveness is what `distilkit compare` measures."""
    interactions = {
        "bert_cat": f"all {ranker.num_layers} layers",
        "bert_dot": "one dot product",
        "colbert": "m * n dot products",
        "prettr": f"the upper {ranker.num_layers - getattr(ranker, 'join', 0)} of {ranker.num_layers} layers",
        "tk": "m * n dot products and kernel pooling",
    }
    unit = storage_unit(ranker)
    return {
        "model": ranker.architecture,
        "effectiveness": None,
        "query_latency_ms": paper["ms_per_query"]["p50"] if paper and paper["ms_per_query"] else None,
        "memory_bytes": paper["peak_memory_bytes"] if paper else None,
        "interaction": interactions[ranker.architecture],
        "passage_cache": unit is not None,
        "nn_index": ranker.architecture in ("bert_dot", "colbert"),
        "storage": unit,
    }

"""How long work takes on a device: after a warm-up, with the device's own work waited for, by quantiles."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from distilkit.evaluation.rerank import score_batch

Integers = npt.NDArray[np.int64]

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def synchronise(device: torch.device) -> None:
    """Wait for what a device was given to do; a CPU has done it already."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], device: torch.device) -> float:
    """Return how long some work takes, the device's part included."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def timed(works: Iterable[Callable[[], Any]], warm_up: int, device: torch.device) -> list[float]:
    """Return the seconds of each piece of work; the first `warm_up` are done and not counted."""
    return [seconds_of(work, device) for work in works][warm_up:]


def milliseconds(seconds: Iterable[float]) -> dict[str, float | None]:
    """Return quantiles in milliseconds, None where nothing was timed."""
    values = list(seconds)
    if not values:
        return dict.fromkeys(QUANTILES)
    found = np.quantile(values, list(QUANTILES.values())) * 1000
    return {name: round(float(value), 3) for name, value in zip(QUANTILES, found, strict=True)}


def score_query(
    ranker: Any, tokens: Any, query: int, passages: Integers, batch_size: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """Return a query's raw scores of some passages from their tokens, in batches of texts of like length."""
    queries = np.full(len(passages), query)
    order = np.argsort(-tokens.lengths(queries, passages), kind="stable")
    scores = np.empty(len(passages))
    for at in range(0, len(order), batch_size):
        batch = order[at : at + batch_size]
        scores[batch] = score_batch(ranker, tokens, queries[batch], passages[batch], device)
    return scores

"""What a ranker costs: parameters, multiply-accumulates, milliseconds a query, peak memory, storage."""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.arrays import Integers
from distilkit.data.candidates import Candidates
from distilkit.data.tokens import PairTokens
from distilkit.evaluation.rerank import Tokens, computing, score_batch
from distilkit.models.ranker import Ranker
from distilkit.training.precision import Precision

T = TypeVar("T")

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
WARM_UP = 3
QUERIES = 20
PEAK_QUERIES = 5
"""Queries that are re-ranked to find the peak of memory."""
ROUNDS = 5
"""Rounds in which rankers take turns on the same queries."""
# Of more documents than twice these the mean size is that of a sample.
DOCUMENTS = 10_000


def measure_cost(
    ranker: Ranker,
    tokens: Tokens,
    candidates: Candidates,
    depth: int,
    batch_size: int,
    precision: Precision,
) -> dict[str, Any]:
    """Return a run's cost.json, but for its latency, which `by_turns` measures, and what training took.

    The peak of memory is that of re-ranking single queries. `bytes_per_document` is on the mean over the candidates,
    None where documents cannot be kept.
    """
    device, own = ranker.device, Timed(ranker.eval(), tokens, batch_size, precision)
    reset_peak(device)
    with torch.no_grad():
        for work in _works(own, candidates, PEAK_QUERIES):
            work()
    peak = peak_memory(device)
    return {
        "parameters": ranker.parameter_count,
        "weight_bytes": ranker.weight_bytes,
        "macs_per_pair": ranker.pair_macs(tokens),
        "length": tokens.max_length,
        "depth": depth,
        "batch_size": batch_size,
        "peak_memory_bytes": peak,
        "bytes_per_document": ranker.bytes_per_document(tokens, _documents(candidates)),
    }


class Timed(NamedTuple):
    """A ranker to be timed: its tokens, how many pairs a forward pass takes, and in which precision."""

    ranker: Ranker
    tokens: Tokens
    batch_size: int
    precision: Precision


class Latency(NamedTuple):
    """A system's milliseconds a query: quantiles over all queries, and the median of each round."""

    ms_per_query: dict[str, float | None]
    rounds: list[float]

    def stated(self, session: str, beside: "Latency | None" = None, name: str | None = None) -> dict[str, Any]:
        """Return what cost.json says of it: the session, and the rounds of what was timed beside it and its `name`."""
        latency: dict[str, Any] = {"session": session, "own_ms": self.rounds}
        if beside is not None:
            latency |= {"beside_ms": beside.rounds} if name is None else {"beside": name, "beside_ms": beside.rounds}
        return {"ms_per_query": self.ms_per_query, "latency": latency}


def by_turns(systems: Mapping[T, tuple[Candidates, Sequence[Timed]]], device: torch.device) -> dict[T, Latency]:
    """Return the latency of some systems, each with its queries' candidates: a ranker, or an ensemble's members.

    What is timed is the re-ranking of single queries with nothing kept: padding and token look-up included,
    tokenisation not. In each of `ROUNDS` rounds all systems take turns on the same queries, so that what else the
    machine does slows all alike; who comes first moves on from query to query. Times of members are added up.
    """
    works = {
        name: [list(_works(one, candidates)) for one in members] for name, (candidates, members) in systems.items()
    }
    names, found = list(works), {name: [list[float]() for _ in range(ROUNDS)] for name in works}
    count = min((len(queries) for members in works.values() for queries in members), default=0)
    with torch.no_grad():
        for name in names:
            for queries in works[name]:
                timed(queries[: min(WARM_UP, count)], WARM_UP, device)
        for turn in range(ROUNDS):
            for query in range(turn, count, ROUNDS):
                first = query % len(names)
                for name in (*names[first:], *names[:first]):
                    found[name][turn].append(math.fsum(seconds_of(queries[query], device) for queries in works[name]))
    return {
        name: Latency(
            milliseconds(one for values in rounds for one in values),
            [round(1000 * statistics.median(values), 3) for values in rounds if values],
        )
        for name, rounds in found.items()
    }


def _works(subject: Timed, candidates: Candidates, queries: int = QUERIES) -> Iterator[Callable[[], object]]:
    """Yield the re-ranking of the first queries that have candidates."""
    tokens, subject = subject.tokens, subject._replace(ranker=subject.ranker.eval())
    rows = [row for row in range(len(candidates.queries)) if (candidates.passages[row] >= 0).any()]
    for row in rows[:queries]:
        passages = np.asarray(candidates.passages[row])
        passages = passages[passages >= 0]
        if isinstance(tokens, PairTokens) and tokens.documents is not None:
            passages, _ = tokens.documents.windows.of(passages)
        yield partial(_scored, subject, int(candidates.queries[row]), passages)


def _scored(subject: Timed, query: int, passages: Integers) -> None:
    """Re-rank one query in the ranker's own precision."""
    device = subject.ranker.device
    with computing(subject.precision, device):
        score_query(subject.ranker, subject.tokens, query, passages, subject.batch_size, device)


def _documents(candidates: Candidates) -> Integers:
    """Return the candidates, each once; every so many-th of very many."""
    found: Integers = np.unique(np.asarray(candidates.passages))
    found = found[found >= 0]
    return found[:: max(1, len(found) // DOCUMENTS)]


def synchronise(device: torch.device) -> None:
    """Wait for what a device was given to do; a CPU has done it already."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, the device's part included."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def timed(works: Iterable[Callable[[], object]], warm_up: int, device: torch.device) -> list[float]:
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
    ranker: Ranker,
    tokens: Tokens,
    query: int,
    passages: Integers,
    batch_size: int,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """Return a query's raw scores of some passages from their tokens, in batches of texts of like length."""
    queries = np.full(len(passages), query)
    order = np.argsort(-tokens.lengths(queries, passages), kind="stable")
    scores = np.empty(len(passages))
    for at in range(0, len(order), batch_size):
        batch = order[at : at + batch_size]
        scores[batch] = score_batch(ranker, tokens, queries[batch], passages[batch], device)
    return scores


def threads() -> int:
    """Return how many threads of a CPU a forward pass takes here."""
    return torch.get_num_threads()


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far; only Linux and GPUs can, elsewhere it stays the process's."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError):  # not every container lets a process do so
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: torch.device) -> int:
    """Return the peak in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    # Linux counts kilobytes here, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_kind(device: torch.device) -> str:
    """Return what the peak counts, in words."""
    return "allocated on the GPU" if device.type == "cuda" else "resident, the process as a whole"

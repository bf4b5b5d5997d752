"""Timing rounds: the batch sizes first, then all queries with the best of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from distilkit.bench.query_time import TOKENISE, QueryTime, Stopwatch
from distilkit.bench.workload import Workload
from distilkit.errors import RunFailed
from distilkit.evaluation.latency import milliseconds

# A batch size is chosen by the median of so many queries.
SWEEP_QUERIES = 3

Parts = dict[str, float]


@dataclass(frozen=True)
class Sweep:
    """The median seconds of each batch size that was tried; None for one that does not fit into memory."""

    seconds: dict[int, float | None]

    @property
    def best(self) -> int:
        """The fastest batch size, the smaller one of equals; raises RunFailed where none fits."""
        fitting = {size: seconds for size, seconds in self.seconds.items() if seconds is not None}
        if not fitting:
            raise RunFailed(
                f"no batch fits into memory, not even one of {min(self.seconds)}: try smaller --batch-sizes"
            )
        return min(fitting, key=lambda size: (fitting[size], size))

    def to_json(self) -> list[dict[str, Any]]:
        """Return it as plain data, in milliseconds."""
        return [
            {"batch_size": size, "ms": None if seconds is None else round(seconds * 1000, 3), "best": size == self.best}
            for size, seconds in self.seconds.items()
        ]


@dataclass(frozen=True)
class DepthTime:
    """The timed queries at one depth, part by part, with the best batch size."""

    depth: int
    documents: float
    batch_size: int
    sweep: Sweep
    parts: list[Parts]

    def total(self, tokenisation: bool) -> dict[str, float | None]:
        """Return quantiles of a query's milliseconds, with its tokenisation or without."""
        return milliseconds(
            sum(seconds for name, seconds in parts.items() if tokenisation or name != TOKENISE) for parts in self.parts
        )

    def medians(self) -> dict[str, float | None]:
        """Return each part's median in milliseconds."""
        return {name: milliseconds(parts[name] for parts in self.parts)["p50"] for name in self.parts[0]}

    def to_json(self, tokenisation: Iterable[bool]) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "depth": self.depth,
            "documents": self.documents,
            "batch_size": self.batch_size,
            **{f"ms_per_query_tokenisation_{'in' if one else 'out'}": self.total(one) for one in tokenisation},
            "parts_p50": self.medians(),
            "sweep": self.sweep.to_json(),
        }


def time_depth(
    system: QueryTime,
    workload: Workload,
    depth: int,
    batch_sizes: Sequence[int],
    warm_up: int,
    device: torch.device,
    advance: Callable[[], object],
) -> DepthTime:
    """Try the batch sizes, then time every query with the best one, after a warm-up.

    Sizes above the depth are one batch all the same, and are not tried apart.
    """
    count = len(workload.queries)

    def parts_of(query: int, size: int) -> Parts:
        watch = Stopwatch(device)
        system.scores(query % count, workload.rows(query % count, depth), size, watch)
        advance()
        return watch.seconds

    sweep = sweep_of(
        sizes_up_to(batch_sizes, depth),
        lambda size: [sum(parts_of(query, size).values()) for query in range(1 + SWEEP_QUERIES)][1:],
    )
    for query in range(warm_up):
        parts_of(query, sweep.best)
    parts = [parts_of(query, sweep.best) for query in range(count)]
    documents = float(np.mean([len(workload.rows(query, depth)) for query in range(count)]))
    return DepthTime(depth, round(documents, 1), sweep.best, sweep, parts)


def sweep_of(sizes: Sequence[int], seconds: Callable[[int], list[float]]) -> Sweep:
    """Try batch sizes; one that runs out of the GPU's memory is left out, and said to be."""
    found: dict[int, float | None] = {}
    for size in sizes:
        try:
            found[size] = float(np.median(seconds(size)))
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            found[size] = None
    return Sweep(found)


def sizes_up_to(sizes: Sequence[int], depth: int) -> list[int]:
    """Return the batch sizes below a number of documents, and the first that holds all of them."""
    ordered = sorted(set(sizes))
    below = [size for size in ordered if size < depth]
    return below + ordered[len(below) : len(below) + 1]


def rounds_at(batch_sizes: Sequence[int], depth: int, queries: int, warm_up: int) -> int:
    """Return how many queries `time_depth` runs, for its progress."""
    return len(sizes_up_to(batch_sizes, depth)) * (1 + SWEEP_QUERIES) + warm_up + queries

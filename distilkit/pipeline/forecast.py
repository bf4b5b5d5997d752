"""How long a plan, or a suite's runs, will take: all forward passes that are still to be made, each counted once."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from distilkit.pipeline.graph import Artifact, Node, walk
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.whole import Whole
from distilkit.pipeline.workspace import Workspace


def threads_of(jobs: int) -> int:
    """Return how many threads each of a suite's processes has: its share of the cores."""
    return max(1, (os.cpu_count() or 1) // jobs)


def missing(*pipelines: Pipeline | None) -> list[Node[Any]]:
    """Return every node that some pipelines still have to compute, each once, inputs first."""
    targets = [node for one in pipelines if one is not None for node in one.targets()]
    workspace = next(one.workspace for one in pipelines if one is not None)
    return list(walk(targets, workspace.is_done))


@dataclass
class Forecast:
    """Forecasts runs that share work, by the rates that were measured on this machine when earlier runs began.

    Attributes:
        workspace: where the runs' work is kept; its rates are read anew for every forecast
        jobs: how many processes work at the same time, each with its share of the cores
    """

    workspace: Workspace
    jobs: int = 1
    _runs: dict[str, list[Artifact[Any]]] = field(default_factory=dict)
    _whole: Whole = field(default_factory=Whole)

    def add(self, pipeline: Pipeline, twin: Pipeline | None = None) -> None:
        """Count a run in, with its label-only twin where it has one."""
        self._runs[pipeline.recipe.name] = [node for node in missing(pipeline, twin) if isinstance(node, Artifact)]

    def seconds(self) -> float | None:
        """Return how long all runs take from the start; None before anything was measured on this machine."""
        self._read_rates()
        return self._sum(self._nodes(self._runs)) if self.workspace.rates.knows_any else None

    def seconds_left(self, runs: Collection[str]) -> float | None:
        """Return how long some of the runs still take, the only ones that are left.

        It is corrected by how much longer than forecast the others took, which have run since this was first asked.
        """
        total = self.seconds() or 0.0  # without a forecast the clock starts all the same
        left = self._sum(node for node in self._nodes(runs) if not self.workspace.has(node))
        return self._whole.corrected(total, total - left)

    def _read_rates(self) -> None:
        # In one process a run has all the threads that PyTorch takes.
        self.workspace.read_rates(threads_of(self.jobs) if self.jobs > 1 else None)

    def _nodes(self, runs: Collection[str]) -> Iterator[Artifact[Any]]:
        yield from {node.key: node for run in runs for node in self._runs.get(run, ())}.values()

    def _sum(self, nodes: Iterator[Artifact[Any]]) -> float:
        return sum(node.work(self.workspace) for node in nodes) / self.jobs

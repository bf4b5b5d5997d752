"""The files behind a system's values, read when a table, a plot or a list of single queries asks for them."""

import math
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System
from distilkit.errors import UserError
from distilkit.evaluation import policy
from distilkit.evaluation.trec import Qrels, Run, read_qrels, read_run
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import Cost, Event, JsonObject, as_table, flat, number, text
from distilkit.run_folders.results import read_cost_beside

Line = list[tuple[float, float]]
"""The points (x, y) of a curve."""

BUDGET = (
    "labelled_queries", "total_labelled_queries", "training_macs", "total_training_macs", "training_seconds",
    "total_training_seconds",
)  # fmt: skip
"""The figures of what stands behind a system; the total ones have the teachers' too."""
TEACHER = "the teacher"
"""What a system was timed beside where its cost names nothing else."""
_SCORES = ("positive_score", "negative_score")


def of_set(result: ComparisonResult, eval_set: str | None) -> dict[str, System]:
    """Return the systems of a query set by name, the best by the first measure first."""
    there = {one.name: one for one in result.sources if not result.sets or one.eval_set == eval_set}
    return {name: there[name] for name in result.ranking if name in there}


def first_set(result: ComparisonResult) -> dict[str, System]:
    """Return the systems of the first query set by name."""
    return of_set(result, result.columns[0][0])


def ranking(system: System, seed: int = 0) -> Run | None:
    """Return a system's results in the policy's order, of its first seed or another; None without a run file."""
    path = system.origins[seed].run if system.origins else None
    return _run(path, path.stat().st_mtime_ns) if path is not None and path.is_file() else None


def judgements(system: System) -> Qrels | None:
    """Return the judgements that a system was measured with; None without their file."""
    path = system.origins[0].qrels if system.origins else None
    return _qrels(path, path.stat().st_mtime_ns) if path is not None and path.is_file() else None


def costs(system: System) -> list[Cost]:
    """Return what a system costs by seed; empty for a bare run file that has no cost beside it.

    What was timed for the comparison goes before what is stored.
    """
    found = []
    for origin in system.origins:
        if origin.results is not None:
            found.append(Cost.of({**origin.results.cost().raw, **origin.timed}))
        elif origin.run is not None and (beside := read_cost_beside(origin.run)).raw:
            found.append(beside)
    return found


def cost(system: System, name: str) -> float | None:
    """Return one figure of a system's cost (a field of `Cost`), its mean over the seeds; None where none states it."""
    return mean([getattr(one, name) for one in costs(system)])


@dataclass(frozen=True)
class Speed:
    """How many times faster than another a system is: the median of rounds by turns, the least and the most.

    The other is its teacher, or what `beside` names.
    """

    median: float
    low: float
    high: float
    rounds: int
    beside: str = TEACHER

    @property
    def differs(self) -> bool:
        """Whether all rounds agree on which of the two is faster."""
        return self.low > 1 or self.high < 1


def speed(system: System) -> Speed | None:
    """Return a system's speed beside its teacher's, over the rounds of all its seeds; None where none was measured.

    A cost beside a bare run file names what else it was timed beside.
    """
    ratios, beside = [], TEACHER
    for one in costs(system):
        beside = text(one.latency.get("beside")) or beside
        own, other = (one.latency.get(key) for key in ("own_ms", "beside_ms"))
        if isinstance(own, list) and isinstance(other, list):
            pairs = ((number(mine), number(theirs)) for mine, theirs in zip(own, other, strict=False))
            ratios += [theirs / mine for mine, theirs in pairs if mine and theirs]
    return Speed(statistics.median(ratios), min(ratios), max(ratios), len(ratios), beside) if len(ratios) > 1 else None


def sessions(systems: Iterable[System]) -> set[str]:
    """Return the sessions in which systems were timed, each by turns in one process; "" where none is said."""
    return {text(one.latency.get("session")) for system in systems for one in costs(system) if one.ms_per_query}


def timed_together(systems: Iterable[System]) -> bool:
    """Return whether all systems that state a latency were timed by turns in one process, so that these compare."""
    found = sessions(systems)
    return len(found) < 2 and "" not in found


def budget(system: System) -> dict[str, float | None]:
    """Return the labels and the training behind a system, each figure's mean over the seeds; empty where none says it.

    A figure is None where it is not known, such as what stands behind a file of scores.
    """
    found = [one.budget for one in costs(system) if one.budget]
    return {name: mean([number(one.get(name)) for one in found]) for name in BUDGET} if found else {}


def grid_size(system: System) -> int | None:
    """Return how many settings a trained system was chosen from on validation queries; None for others."""
    run = stored(system)
    return None if run is None else run.grid_size


def seconds_by_stage(system: System) -> dict[str, float]:
    """Return the time of training by stage, its mean over the seeds."""
    found = [one.training_seconds for one in costs(system)]
    means = {stage: mean([one.get(stage) for one in found]) for stage in (found[0] if found else ())}
    return {stage: seconds for stage, seconds in means.items() if seconds is not None}


def first_cost(system: System) -> Cost:
    """Return what a system's first seed costs, an empty cost for a bare run file."""
    return next(iter(costs(system)), Cost())


def stored(system: System) -> StoredRun | None:
    """Return the run of a trained system's first seed."""
    return system.origins[0].stored if system.origins else None


def settings(run: StoredRun) -> JsonObject:
    """Return a run's recipe, its keys with dots; keys that are newer than the run have their defaults.

    Of a recipe that this version cannot read only its own keys are returned.
    """
    from distilkit.recipe import resolved
    from distilkit.settings import Recipe

    try:
        every = flat(resolved(Recipe.model_validate(run.record.resolved)))
    except (ValueError, UserError):
        every = {}
    return {**every, **flat(run.record.resolved)}


def curves(system: System) -> list[JsonObject]:
    """Return each seed's validation by examples and time; seeds without one are left out."""
    return [found for origin in system.origins if origin.stored is not None and (found := origin.stored.curve())]


def events(system: System, *kinds: str) -> list[Event]:
    """Return the events of some kinds that training a system's first seed wrote.

    The events of a teacher trained on the way are left out, and those of grid points that were not chosen.
    """
    run = stored(system)
    return [] if run is None else run.student_events(first_cost(system).training_seconds, *kinds)


def validation_line(system: System, measure: str) -> Line:
    """Return (step, value) of the first seed's every validation; a stage's steps follow those of the one before."""
    line: dict[float, float] = {}
    for step, event in _stage_after_stage(system, "validation", "curve"):
        if (value := number(event.values.get(measure))) is not None:
            line[step] = value
    return sorted(line.items())


def example_line(system: System, measure: str) -> Line:
    """Return (examples, value) of every point that the student was validated at on the way, the mean over the seeds.

    A point that one of the seeds lacks is left out. The first seed stands alone where no seed has a finished curve.
    """
    stated = [points for one in curves(system) if isinstance(points := one.get("points"), list) and points]
    lines = [_points(one, measure) for one in stated or [[one.values for one in events(system, "curve")]]]
    of_all = set(lines[0]).intersection(*lines[1:])
    return [(examples, math.fsum(line[examples] for line in lines) / len(lines)) for examples in sorted(of_all)]


def _points(points: list[Any], measure: str) -> dict[float, float]:
    """Return a curve's value by its number of examples."""
    line = {}
    for one in map(as_table, points):
        examples, value = number(one.get("examples")), number(one.get(measure))
        if examples is not None and value is not None:
            line[examples] = value
    return line


def score_lines(system: System) -> tuple[Line, Line]:
    """Return (step, mean score) of the first seed's positives and negatives, where training reads them side by side.

    The steps of a stage follow those of the one before.
    """
    positive: Line = []
    negative: Line = []
    for step, event in _stage_after_stage(system, "train"):
        high, low = (number(event.values.get(name)) for name in _SCORES)
        if high is not None and low is not None:
            positive.append((step, high))
            negative.append((step, low))
    return positive, negative


def _stage_after_stage(system: System, *kinds: str) -> Iterator[tuple[float, Event]]:
    """Yield the events of some kinds, each with its step as if all stages were one."""
    stage, start, last = None, 0.0, 0.0
    for event in events(system, *kinds):
        if event.stage != stage:
            stage, start = event.stage, last
        last = start + event.step
        yield last, event


def mean(values: list[float | None]) -> float | None:
    """Return the mean of the values that there are, None without any."""
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


# The time of change is part of the key: whoever holds a report open may see a run go on.
@lru_cache(maxsize=64)
def _run(path: Path, changed: int) -> Run:
    return policy.ordered(read_run(path))


@lru_cache(maxsize=8)
def _qrels(path: Path, changed: int) -> Qrels:
    return read_qrels(path)

"""What suites measured: each student's systems compared, or why there is nothing to compare yet."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from distilkit.comparison.reports import ALONE, suite_results
from distilkit.comparison.result import Comparison, ComparisonResult
from distilkit.errors import UserError
from distilkit.run_folders import suites
from distilkit.run_folders.read import StoredRun

MEASURE = "nDCG@10"
NOT_YET = "not yet measured at this size"


@dataclass(frozen=True)
class Measured:
    """A suite's results by student; `why_not` says what lacks where there are none.

    `seconds` are the seconds of each stage that the runs of a student's system took on the mean, by student and system.
    `curves` are the means of the measure on the validation queries after so many pairs, by student and system, for
    suites whose recipe asks for a learning curve; the teacher is among the systems. `machines` are the processors and
    number formats with which runs were made.
    """

    suite: str
    results: dict[str, ComparisonResult] = field(default_factory=dict)
    seconds: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)
    curves: dict[tuple[str, str], dict[int, float]] = field(default_factory=dict)
    machines: tuple[str, ...] = ()
    why_not: str = ""


def read(runs_dir: Path, suite: str, baselines: Sequence[str] = ()) -> Measured:
    """Return what a suite's runs measured; nothing before all of them are done."""
    folder = runs_dir / suite
    if not suites.is_suite(folder):
        return Measured(suite, why_not=f"{NOT_YET}: no run yet")
    told = suites.read(folder)
    if told.done < len(told.members):
        return Measured(suite, why_not=f"{NOT_YET}: {told.done} of {len(told.members)} runs are done")
    try:
        results = suite_results(folder, baselines)
    except UserError as error:
        return Measured(suite, why_not=f"{NOT_YET}: {error}")
    return Measured(suite, results, _seconds(runs_dir, told), _curves(runs_dir, told), _machines(runs_dir, told))


def _machines(runs_dir: Path, suite: suites.StoredSuite) -> tuple[str, ...]:
    told = [json.loads((runs_dir / member.name / "run.json").read_text()) for member in suite.members]
    made = (
        f"{one['host']['cores']} cores of {one['host']['cpu']}, training in {one['precision']['training']}, "
        f"evaluation in {one['precision']['evaluation']}"
        for one in told
    )
    return tuple(dict.fromkeys(made))


def _seconds(runs_dir: Path, suite: suites.StoredSuite) -> dict[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for system, run in _runs(runs_dir, suite):
        cost = json.loads((run / "eval/test/cost.json").read_text())
        found.setdefault(system, []).append(cost.get("training_seconds") or {})
    return {
        key: {stage: mean(one.get(stage, 0.0) for one in seeds) for stage in seeds[0]} for key, seeds in found.items()
    }


def _curves(runs_dir: Path, suite: suites.StoredSuite) -> dict[tuple[str, str], dict[int, float]]:
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for (student, system), run in _runs(runs_dir, suite):
        curve = StoredRun(run).curve()
        for point in curve.get("points", []):
            for name, value in (("teacher", curve["teacher"]), (system, point[MEASURE])):
                if value is not None:
                    found.setdefault((student, name), {}).setdefault(point["examples"], []).append(value)
    return {key: {pairs: mean(seeds) for pairs, seeds in points.items()} for key, points in found.items()}


def _runs(runs_dir: Path, suite: suites.StoredSuite) -> Iterator[tuple[tuple[str, str], Path]]:
    """Yield student and system of each of a suite's runs, and its folder."""
    several = len({member.teacher for member in suite.members} - {"none"}) > 1
    for member in suite.members:
        system = f"{member.strategy}, {member.teacher}" if several else member.strategy
        yield (member.student, ALONE if member.teacher == "none" else system), runs_dir / member.name


def between(result: ComparisonResult, system: str, baseline: str, measure: str = MEASURE) -> Comparison | None:
    """Return the comparison of a system with a baseline, None where it was not made."""
    wanted = system, baseline, measure
    return next((one for one in result.comparisons if (one.system, one.baseline, one.measure) == wanted), None)

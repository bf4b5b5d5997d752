"""Runs compared: what is asked, the systems as they were read, the command line's own result, the frontier."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distilkit.comparison import run_files
from distilkit.comparison.compare import compare
from distilkit.comparison.options import TESTS
from distilkit.comparison.paired_tests import MarginKind
from distilkit.comparison.result import Column, ComparisonResult
from distilkit.comparison.systems import System, read_systems
from distilkit.errors import UserError
from distilkit.run_folders.read import StoredRun

CORRECTIONS = ("holm", "none", "bonferroni", "bh")
STEP, WIDEST = 0.01, 0.5
# Cost -> its name on an axis, and where cost.json states it.
AXES = {"ms": "ms/query", "macs": "MACs/pair"}
KEYS = {"ms": "ms_per_query", "macs": "macs_per_pair"}


@dataclass(frozen=True)
class Question:
    """What is asked of the systems: against which baselines (by name), and how; as the options of `compare`."""

    baselines: tuple[str, ...] = ()
    test: str = "t-test"
    correction: str = "holm"
    margin: float = 0.03
    margin_kind: MarginKind = "relative"
    equivalence: bool = False
    pairs: str = "baseline"

    def wider(self, by: int) -> "Question":
        """Return the question with a wider or narrower margin."""
        return replace(self, margin=round(min(max(self.margin + by * STEP, 0.0), WIDEST), 4))

    def with_margin(self, text: str) -> "Question":
        """Return the question with a margin as one types it: `2.5 %` or `2.5%` relative, `0.01` of the kind at hand.

        Raises UserError for anything else.
        """
        number, percent, rest = text.strip().partition("%")
        try:
            value = float(number) / (100 if percent else 1)
        except ValueError:
            value = -1.0
        kind: MarginKind = "relative" if percent else self.margin_kind
        if rest or not 0 <= value < (1 if kind == "relative" else math.inf):
            raise UserError(f"{text!r}: expected a margin such as 3 %, or 0.02 where it is absolute")
        return replace(self, margin=round(value, 6), margin_kind=kind)

    def other_kind(self) -> "Question":
        """Return the question with a margin of the other kind."""
        return replace(self, margin_kind="absolute" if self.margin_kind == "relative" else "relative")

    def next_test(self) -> "Question":
        """Return the question with the next test."""
        return replace(self, test=TESTS[(TESTS.index(self.test) + 1) % len(TESTS)])

    def next_correction(self) -> "Question":
        """Return the question with the next correction."""
        return replace(self, correction=CORRECTIONS[(CORRECTIONS.index(self.correction) + 1) % len(CORRECTIONS)])

    def command(self, runs: Sequence[str], runs_dir: Path) -> str:
        """Return the command line that prints the same."""
        words = ["distilkit", "compare", *(str(runs_dir / run) for run in runs)]
        words += [word for name in self.baselines for word in ("--baseline", name)]
        usual = Question()
        for option, value, default in (
            ("--test", self.test, usual.test),
            ("--correction", self.correction, usual.correction),
            ("--non-inferiority", f"{self.margin:g}", f"{usual.margin:g}"),
            ("--margin-kind", self.margin_kind, usual.margin_kind),
            ("--pairs", self.pairs, usual.pairs),
        ):
            words += [option, value] if value != default else []
        words += ["--equivalence"] if self.equivalence else []
        return shlex.join([*words, "--details"])


@dataclass(frozen=True)
class Reading:
    """The systems that runs brought; `names` are theirs by run, `left_out` the runs that have no results yet."""

    runs: tuple[str, ...]
    systems: tuple[System, ...]
    names: dict[str, str]
    left_out: tuple[str, ...]


def read(runs: Sequence[str], runs_dir: Path) -> Reading:
    """Read the systems of runs; raises UserError where none has results, and for files that are broken."""
    ready = tuple(run for run in runs if StoredRun(runs_dir / run).evaluated_sets())
    if not ready:
        raise UserError("no marked run has results yet" if runs else "there is no run to compare")
    systems = read_systems([str(runs_dir / run) for run in ready], runs_dir=runs_dir, eval_set=None)
    homes = {origin.stored.path.resolve(): one.name for one in systems for origin in one.origins if origin.stored}
    names = {run: homes[home] for run in runs if (home := (runs_dir / run).resolve()) in homes}
    return Reading(ready, tuple(systems), names, tuple(run for run in runs if run not in ready))


def answer(reading: Reading, question: Question) -> ComparisonResult:
    """Return the comparison; raises UserError where the systems do not go together."""
    known = {system.name for system in reading.systems}
    return compare(
        reading.systems,
        baselines=[name for name in question.baselines if name in known] or None,
        pairs=question.pairs,
        test=question.test,
        correction=question.correction,
        noninferiority=question.margin,
        margin_kind=question.margin_kind,
        equivalence=question.equivalence,
    )


@dataclass(frozen=True)
class CostPoint:
    """A system: its mean and interval, its costs (None where it states none), and who dominates it ("": nobody)."""

    name: str
    mean: float
    low: float | None
    high: float | None
    costs: dict[str, float | None]
    parameters: float | None
    dominated: str = ""


def points(result: ComparisonResult, column: Column, axis: str) -> list[CostPoint]:
    """Return the systems of a column, the cheapest first; those without a cost come last."""
    found = []
    for name, system in run_files.of_set(result, column[0]).items():
        mean = result.find(name, column)
        if mean is not None:
            costs = {one: run_files.cost(system, key) for one, key in KEYS.items()}
            parameters = run_files.cost(system, "parameters")
            found.append(CostPoint(name, mean.mean, mean.ci_low, mean.ci_high, costs, parameters))
    marked = [replace(one, dominated=_dominator(one, found, axis)) for one in found]
    return sorted(marked, key=lambda one: (not one.costs[axis], one.costs[axis] or 0.0, -one.mean))


def _dominator(one: CostPoint, others: list[CostPoint], axis: str) -> str:
    """Return the best system that is not a dearer and no worse than a point, and better in one of the two."""
    cost = one.costs[axis]
    if not cost:
        return ""
    better = [
        other
        for other in others
        if (price := other.costs[axis])
        and price <= cost
        and other.mean >= one.mean
        and (price < cost or other.mean > one.mean)
    ]
    return max(better, key=lambda other: other.mean).name if better else ""


def caveat(result: ComparisonResult, column: Column) -> str:
    """Return why times cannot be held against each other, "" where they can."""
    systems = run_files.of_set(result, column[0]).values()
    depths = {one.depth for system in systems if (one := run_files.first_cost(system)).ms_per_query}
    if len(depths) < 2 and run_files.timed_together(systems):
        return ""
    found = f"at depths {', '.join(map(str, sorted(depths, key=str)))}" if len(depths) > 1 else "not together"
    return f"timed {found}: press t for multiply-accumulates, which can be compared"

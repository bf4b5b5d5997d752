"""A suite as its folder tells it: its runs, planned ones too, how many are done, and how long the rest takes."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.run_folders.names import SEPARATOR, short_names
from distilkit.run_folders.read import StoredRun, read_suite
from distilkit.run_folders.record import RunStatus, as_table, text
from distilkit.tables import duration, table

PLANNED = "planned"
"""The state of a run of a suite that was not started yet."""
FAILED = ("crashed", "lost", "damaged")
LIVE = ("running", "stalled")


@dataclass(frozen=True)
class Member:
    """A run of a suite: its name, the words of the matrix that it stands for, its state, and where it has got to.

    `measures` are those of the set `test`, `spent` and `left` the seconds that it took and still takes, None where
    nothing says it.
    """

    name: str
    strategy: str
    student: str
    teacher: str
    seed: int | None
    state: str
    measures: dict[str, float] = field(default_factory=dict)
    spent: float | None = None
    left: float | None = None


@dataclass(frozen=True)
class StoredSuite:
    """A suite's folder and its members, in the matrix's order."""

    path: Path
    name: str
    members: tuple[Member, ...]

    @property
    def counts(self) -> Counter[str]:
        """How many members are in each state."""
        return Counter(member.state for member in self.members)

    @property
    def state(self) -> str:
        """Running while any member is, done when all are; else crashed, stopped or planned, as its members are."""
        return state_of([member.state for member in self.members])

    @property
    def done(self) -> int:
        """How many members are done."""
        return self.counts["done"]

    @property
    def left(self) -> float | None:
        """Return the seconds that are left, by the forecasts of the running members and what the finished ones took.

        None where nothing runs, or nothing has been finished that planned members could be held against.
        """
        return seconds_left([(member.state, member.spent, member.left) for member in self.members])

    def to_json(self) -> dict[str, Any]:
        """Return the plain value, which has the keys of a run's line beside its own."""
        measures: dict[str, float] = {}
        return {
            "name": self.path.name,
            "state": self.state,
            "strategy": "",
            "student": "",
            "step": self.done,
            "total": len(self.members),
            "measures": measures,
            "suite": {"left_s": self.left, "counts": dict(self.counts), "runs": [asdict(one) for one in self.members]},
        }

    def progress(self) -> str:
        """Return how far the suite is: `4 of 6, 1 failed, 21 min left`."""
        return progress([member.state for member in self.members], self.left)


def state_of(states: Sequence[str]) -> str:
    """Return the state of a suite whose members are in some states."""
    for state in (*LIVE, *FAILED):
        if state in states:
            return state
    if states and all(state == "done" for state in states):
        return "done"
    return PLANNED if all(state == PLANNED for state in states) else "stopped"


def seconds_left(members: Sequence[tuple[str, float | None, float | None]]) -> float | None:
    """Return the seconds that members still take, each given by its state, its seconds spent and those left."""
    running = [left for state, _, left in members if state in LIVE]
    planned = sum(state == PLANNED for state, _, _ in members)
    spent = [seconds for state, seconds, _ in members if state == "done" and seconds]
    if not running or any(left is None for left in running) or (planned and not spent):
        return None
    # The first members make what all share; the median is that of a usual one.
    each = statistics.median(spent) if spent else 0.0
    return (sum(left for left in running if left is not None) + planned * each) / len(running)


def progress(states: Sequence[str], left: float | None) -> str:
    """Return how far a suite is in words."""
    parts = [f"{sum(state == 'done' for state in states)} of {len(states)}"]
    failed = sum(state in FAILED for state in states)
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{duration(left)} left"] if left is not None else []
    return ", ".join(parts)


def to_text(suite: StoredSuite) -> str:
    """Return a suite for people: how far it is, its runs, and of several seeds their number, mean and spread."""
    names = short_names(member.name for member in suite.members)
    measures = list(dict.fromkeys(measure for member in suite.members for measure in member.measures))
    rows = [
        [names[one.name], one.state, *(_number(one.measures.get(measure)) for measure in measures)]
        for one in suite.members
    ]
    lines = [f"{suite.name}: {suite.state}, {suite.progress()}", f"  folder  {suite.path}", ""]
    lines.append(table(["run", "state", *measures], rows))
    seeds = _by_seed(suite)
    if seeds:
        lines += ["", "Several seeds: their number, mean and standard deviation", ""]
        found = [
            [
                names[members[0].name].rpartition(SEPARATOR)[0],
                str(len(members)),
                *(_spread(members, one) for one in measures),
            ]
            for members in seeds
        ]
        lines.append(table(["run", "seeds", *measures], found))
    return "\n".join(lines)


def _by_seed(suite: StoredSuite) -> list[list[Member]]:
    """Return the members that differ in seed alone and are done, where there are several."""
    groups: dict[tuple[str, str, str], list[Member]] = {}
    for one in suite.members:
        if one.state == "done":
            groups.setdefault((one.strategy, one.student, one.teacher), []).append(one)
    return [members for members in groups.values() if len(members) > 1]


def _spread(members: Sequence[Member], measure: str) -> str:
    values = [one.measures[measure] for one in members if measure in one.measures]
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def is_suite(folder: Path) -> bool:
    """Return whether a folder is that of a suite."""
    return (folder / "suite.json").is_file()


def find_suites(runs_dir: Path) -> list[StoredSuite]:
    """Return the suites below a folder, by name; one whose suite.json is damaged is left out, its runs are there."""
    if not runs_dir.is_dir():
        return []
    found = []
    for folder in sorted(runs_dir.iterdir()):
        if not folder.name.startswith(".") and is_suite(folder):
            try:
                found.append(read(folder))
            except UserError:
                continue
    return found


def read(folder: Path) -> StoredSuite:
    """Return the suite of a folder; raises UserError where its suite.json is damaged."""
    found = read_suite(folder)
    runs = found.get("runs")
    if not isinstance(runs, list) or not all(isinstance(one, dict) and text(one.get("name")) for one in runs):
        raise UserError(f"{folder / 'suite.json'}: expected the key runs, a list of the suite's runs")
    return StoredSuite(
        folder, text(found.get("name")) or folder.name, tuple(_member(folder, as_table(one)) for one in runs)
    )


def _member(folder: Path, told: dict[str, Any]) -> Member:
    name, seed = text(told.get("name")), told.get("seed")
    strategy, student, teacher = (text(told.get(key)) for key in ("strategy", "student", "teacher"))
    number = seed if isinstance(seed, int) else None

    def member(state: str, status: RunStatus | None = None, measures: dict[str, float] | None = None) -> Member:
        whole = status.whole if status is not None else {}
        times = whole.get("spent_s"), whole.get("left_s")
        return Member(name, strategy, student, teacher, number, state, measures or {}, *times)

    run = StoredRun(folder / Path(name).name)
    if not run.exists():
        return member(PLANNED)
    try:
        status, found = run.status(), run.results().measures()
        return member(run.state(status), status, found.measures if found is not None else None)
    except UserError:
        return member("damaged")

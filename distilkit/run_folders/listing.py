"""The runs below a folder: all of them, one by its name, and a line about each."""

from pathlib import Path
from typing import TypedDict

from distilkit.errors import UserError, nearest
from distilkit.run_folders.disk import taken
from distilkit.run_folders.names import short_names
from distilkit.run_folders.read import StoredRun, is_run


class Summary(TypedDict):
    """One line of `distilkit runs`."""

    name: str
    state: str
    strategy: str
    student: str
    step: int | None
    total: int | None
    measures: dict[str, float]
    bytes: int


def find_runs(runs_dir: Path) -> list[StoredRun]:
    """Return every run below a folder, runs of suites too, by name."""
    if not runs_dir.is_dir():
        return []
    found = [path.parent for pattern in ("*/run.json", "*/*/run.json") for path in runs_dir.glob(pattern)]
    # What begins with a dot is on its way in or out.
    return [StoredRun(path) for path in sorted(found) if not _is_hidden(path.relative_to(runs_dir))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def locate(name: str, runs_dir: Path) -> StoredRun:
    """Return the run of a name or folder, or of the short name that `runs` has for one of a suite's runs.

    Raises UserError that names the nearest right one.
    """
    for path in (runs_dir / name, Path(name)):
        if is_run(path):
            return StoredRun(path)
    known = [str(run.path.relative_to(runs_dir)) for run in find_runs(runs_dir)]
    if meant := [key for key in known if name == _short(key, known)]:
        return StoredRun(runs_dir / meant[0])
    raise UserError(f"no run is called {name!r} in {runs_dir}{nearest(name, known)}")


def _short(key: str, known: list[str]) -> str:
    """Return the short name of a suite's run, empty where several suites have such a one."""
    suite = key.partition("/")[0]
    short = short_names(one for one in known if one.startswith(f"{suite}/")).get(key, "")
    alone = sum(
        short in short_names(one for one in known if one.startswith(f"{other}/")).values()
        for other in {one.partition("/")[0] for one in known if "/" in one}
    )
    return short if alone == 1 else ""


def summary(run: StoredRun, runs_dir: Path) -> Summary:
    """Return a run's line; a damaged run says no more than that, and `show` says what is wrong with it."""
    name, size = str(run.path.relative_to(runs_dir)), 0
    try:
        size = taken(run.path).size
        record, status, measures = run.record, run.status(), run.results().measures()
    except (UserError, OSError):
        empty: dict[str, float] = {}
        return Summary(
            name=name, state="damaged", strategy="", student="", step=None, total=None, measures=empty, bytes=size
        )
    return Summary(
        name=name,
        state=run.state(status),
        strategy=record.strategy,
        student=record.student,
        step=status.step,
        total=status.total,
        measures=measures.measures if measures else {},
        bytes=size,
    )

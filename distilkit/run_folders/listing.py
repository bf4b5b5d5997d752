"""The runs below a folder: all of them, one by its name, the nearest to a wrong name, and a line about each."""

from pathlib import Path
from typing import TypedDict

from distilkit.errors import UserError, nearest
from distilkit.files import expanded
from distilkit.run_folders.disk import taken
from distilkit.run_folders.names import short_names
from distilkit.run_folders.read import StoredRun, is_run

MODEL = "model"
"""The folder of a run's trained student."""


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


def find_run(name: str, runs_dir: Path) -> StoredRun | None:
    """Return the run that a name or folder stands for, None where there is none.

    It is the run's name below `runs_dir`, its folder, its model's folder, or the short name that `runs` has for one of
    a suite's runs. What lies at the path itself comes before what lies below `runs_dir`.
    """
    if not name.strip():
        return None
    for path in (expanded(name), runs_dir / name):
        for folder in (path, path.parent) if path.name == MODEL else (path,):
            if is_run(folder):
                return StoredRun(folder)
    known = [str(run.path.relative_to(runs_dir)) for run in find_runs(runs_dir)]
    return next((StoredRun(runs_dir / key) for key in known if name == _short(key, known)), None)


def locate(name: str, runs_dir: Path) -> StoredRun:
    """Return the run of a name or folder, as `find_run` does; raises UserError that names the nearest right one."""
    found = find_run(name, runs_dir)
    if found is None:
        raise UserError(f"no run is called {name!r} in {runs_dir}{a_model(name) or nearest_run(name, runs_dir, few=9)}")
    return found


def a_model(name: str) -> str:
    """Return a clause that says that a name stands for a model that is not a run's, empty where it does not."""
    if name.startswith("package:") or (expanded(name) / "config.json").is_file():
        return "; it is a model without a run: `distilkit rerank` writes a ranking of its own, which compare reads"
    return ""


def nearest_run(name: str, runs_dir: Path, few: int = 0) -> str:
    """Return a clause that names the run or suite nearest to a name or folder.

    Where none is near, it lists all that there are if these are few, and is empty otherwise.
    """
    known, asked = known_names(runs_dir), Path(name)
    asked = asked.parent if asked.name == MODEL and len(asked.parts) > 1 else asked
    key, before = asked, Path()
    if asked.absolute().is_relative_to(runs_dir.absolute()):
        key = asked.absolute().relative_to(runs_dir.absolute())
        before = Path(*asked.parts[: len(asked.parts) - len(key.parts)])
    hint = nearest(str(key), known)
    if hint.startswith("; did you mean"):
        return nearest(str(before / key), [str(before / one) for one in known])
    return hint if len(known) <= few else ""


def known_names(runs_dir: Path) -> list[str]:
    """Return the names of all suites and runs below a folder."""
    runs = [run.path.relative_to(runs_dir) for run in find_runs(runs_dir)]
    return sorted({str(name) for run in runs for name in (run, run.parent) if name != Path()})


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

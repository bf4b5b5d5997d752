"""Whether a run is running, stalled, done, stopped, crashed or lost, from its life signs alone."""

import socket
import time
from pathlib import Path
from typing import Any

from distilkit.errors import UserError, nearest
from distilkit.evaluation.results import read_measures
from distilkit.files import read_json
from distilkit.runs.folder import RunFolder, boot_id
from distilkit.runs.lock import is_held

# What a run.json cannot do without.
RECORD = ("name", "strategy", "student", "seed", "twin", "overrides", "resolved", "data", "versions", "created")
TERMINAL = ("done", "stopped", "crashed")
# A run on another machine is given up after this long without a sign beyond what it announced.
GRACE = 60.0


def read_record(folder: RunFolder) -> dict[str, Any]:
    """Return run.json; raises UserError where it is damaged."""
    try:
        record = read_json(folder.run_json)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder.run_json}: cannot be read as JSON: {error}") from None
    missing = [key for key in RECORD if key not in record] if isinstance(record, dict) else list(RECORD)
    if missing:
        raise UserError(f"{folder.run_json}: is no record of a run: {missing[0]} is missing")
    found: dict[str, Any] = record
    return found


def read_status(folder: RunFolder) -> dict[str, Any]:
    """Return status.json, empty where there is none yet."""
    try:
        status = read_json(folder.status_json)
    except (FileNotFoundError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def derive(folder: RunFolder, record: dict[str, Any], status: dict[str, Any], now: float | None = None) -> str:
    """Return a run's state; never call it in the run's own process, whose lock it would ask about."""
    state = status.get("state")
    if state in TERMINAL:
        return str(state)
    silent = (now or time.time()) - float(status.get("hb_t", 0))
    patience = max(60.0, 3 * float(status.get("expect_next_s", 30)))
    here = record.get("host", {}).get("host") == socket.gethostname()
    if not here or record.get("boot_id") != boot_id():
        return "lost" if silent > patience + GRACE else "running"
    if not is_held(folder.lock):
        return "crashed"
    return "stalled" if silent > patience else "running"


def find_runs(runs_dir: Path) -> list[RunFolder]:
    """Return every run below a folder, runs of suites too, by name."""
    if not runs_dir.is_dir():
        return []
    found = [path.parent for pattern in ("*/run.json", "*/*/run.json") for path in runs_dir.glob(pattern)]
    return [RunFolder(path) for path in sorted(found) if ".artifacts" not in path.parts]


def summary(folder: RunFolder, runs_dir: Path) -> dict[str, Any]:
    """Return one line of `distilkit runs`: {name, state, strategy, student, step, total, measures}."""
    name = str(folder.path.relative_to(runs_dir))
    try:
        record, measures = read_record(folder), _measures(folder)
    except UserError:  # the others are listed all the same, and `show` says what is wrong
        nothing: dict[str, Any] = {"strategy": "", "student": "", "step": None, "total": None, "measures": {}}
        return {"name": name, "state": "damaged", **nothing}
    status = read_status(folder)
    return {
        "name": name,
        "state": derive(folder, record, status),
        "strategy": record["strategy"],
        "student": record["student"],
        "step": status.get("step"),
        "total": status.get("total"),
        "measures": measures,
    }


def _measures(folder: RunFolder) -> dict[str, float]:
    path = folder.eval / "test" / "measures.json"
    measures: dict[str, float] = read_measures(path)["measures"] if path.exists() else {}
    return measures


def locate(name: str, runs_dir: Path) -> RunFolder:
    """Return the run of a name or folder; raises UserError that names the nearest right one."""
    for path in (runs_dir / name, Path(name)):
        if (path / "run.json").exists():
            return RunFolder(path)
    known = [str(folder.path.relative_to(runs_dir)) for folder in find_runs(runs_dir)]
    raise UserError(f"no run is called {name!r} in {runs_dir}{nearest(name, known)}")

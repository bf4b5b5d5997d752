"""What lies behind a system's values, read when a table, a plot or a drill-down asks for it."""

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.system import System
from distilkit.errors import UserError
from distilkit.evaluation import policy
from distilkit.evaluation.trec import Qrels, Run, read_qrels, read_run
from distilkit.files import read_json

Events = list[dict[str, Any]]


def of_set(result: ComparisonResult, eval_set: str | None) -> dict[str, System]:
    """Return the systems of a query set by name."""
    return {one.name: one for one in result.sources if not result.sets or one.eval_set == eval_set}


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


def cost(system: System, *keys: str) -> float | None:
    """Return a figure of cost.json (`"ms_per_query", "p50"`), on the mean over the seeds; None where none states it."""
    found = [_figure(origin.folder, keys) for origin in system.origins]
    numbers = [one for one in found if one is not None]
    return math.fsum(numbers) / len(numbers) if numbers else None


def costs(system: System) -> dict[str, Any]:
    """Return the cost.json of a system's first seed, empty without one."""
    folder = system.origins[0].folder if system.origins else None
    return _cost(folder) if folder is not None else {}


def record(system: System) -> dict[str, Any]:
    """Return the run.json of a system's first seed, empty without one."""
    folder = system.origins[0].record if system.origins else None
    return _object(folder / "run.json") if folder is not None else {}


def curve(system: System) -> dict[str, Any]:
    """Return the curve.json of a system's first seed, empty without one: validation by examples and time."""
    folder = system.origins[0].record if system.origins else None
    return _object(folder / "curve.json") if folder is not None else {}


def events(system: System, *kinds: str) -> Events:
    """Return the events of some kinds that training a system's first seed wrote, its own stages' alone.

    The events of a teacher trained on the way are left out, and where a grid was searched those of other points than
    the last.
    """
    folder = system.origins[0].record if system.origins else None
    path = folder / "events.jsonl" if folder is not None else None
    if path is None or not path.is_file():
        return []
    stages = costs(system).get("training_seconds") or {}
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [one for one in map(_event, lines) if one.get("kind") in kinds]
    own = [one for one in found if not stages or one.get("stage") in stages]
    return [one for one in own if one.get("trial") == own[-1].get("trial")]


def _figure(folder: Path | None, keys: tuple[str, ...]) -> float | None:
    value: Any = _cost(folder) if folder is not None else None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _cost(folder: Path) -> dict[str, Any]:
    return _object(folder / "cost.json")


def _object(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, empty where there is no file; raises UserError for one that is damaged."""
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected an object")
    return found


def _event(line: str) -> dict[str, Any]:
    """Return an event, empty for a line that is still being written."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("values"), dict) else {}


# The time of change is part of the key: whoever holds a report open may see a run go on.
@lru_cache(maxsize=64)
def _run(path: Path, changed: int) -> Run:
    return policy.ordered(read_run(path))


@lru_cache(maxsize=8)
def _qrels(path: Path, changed: int) -> Qrels:
    return read_qrels(path)

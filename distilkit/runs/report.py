"""The table that a finished run ends in: its systems compared, and what was chosen on validation."""

import json
from pathlib import Path
from textwrap import fill
from typing import Any

from distilkit.comparison.compare import compare
from distilkit.comparison.render import Screen, render
from distilkit.comparison.systems import read_systems
from distilkit.files import read_json
from distilkit.runs.folder import RunFolder
from distilkit.runs.state import read_record


def report(folder: Path, format_: str, screen: Screen | None = None) -> str:
    """Return a finished run's comparison of all its query sets, as text for a screen or as JSON."""
    run = RunFolder(folder)
    record = read_record(run)
    sets = sorted(
        (path.name for path in run.eval.iterdir() if (path / "measures.json").exists()),
        key=lambda name: (name != "test", name),
    )
    results = {name: _compare(run, record, name) for name in sets}
    choices = _choices(run, record)
    if format_ == "json":
        found = {"run": record["name"], "choices": choices, "sets": {}}
        for name, result in results.items():
            found["sets"][name] = json.loads(render(result, "json"))
        return json.dumps(found, indent=2, ensure_ascii=False)
    parts = []
    for name, result in results.items():
        heading = f"{record['name']} on {record['data']['name']}, query set {name}"
        parts.append(f"{heading}\n\n{render(result, format_, screen).rstrip()}")
    width = (screen or Screen()).width
    lines = [fill(f"{system}: {text}", width, subsequent_indent="  ") for system, text in choices.items()]
    if lines:
        parts.append("Chosen on the validation queries\n" + "\n".join(lines))
    parts.append(f"Run folder: {run.path}")
    return "\n\n".join(parts)


def _compare(run: RunFolder, record: dict[str, Any], eval_set: str) -> Any:
    systems = read_systems([str(run.path)], runs_dir=run.path.parent, eval_set=eval_set)
    letters = {"bm25": "B", "teacher": "T", record["twin"]: "L"}
    baselines = [f"{system.name}:{letters[system.name]}" for system in systems if system.name in letters]
    return compare(systems, baselines=baselines or None, eval_set=eval_set)


def _choices(run: RunFolder, record: dict[str, Any]) -> dict[str, str]:
    folders = {record["name"]: run}
    if record["twin"]:
        folders[record["twin"]] = RunFolder(run.path.parent / Path(record["twin"]).name)
    found = {}
    for name, folder in folders.items():
        path = folder.path / "grid.json"
        if path.exists():
            grid = read_json(path)
            tried = ", ".join(
                f"{_values(one['values'])}: {one['validation'][grid['measure']]:.4f}" for one in grid["tried"]
            )
            found[name] = f"{_values(grid['chosen'])} ({grid['measure']}: {tried})"
    return found


def _values(values: dict[str, Any]) -> str:
    return ", ".join(
        f"{key.rpartition('.')[2]} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )

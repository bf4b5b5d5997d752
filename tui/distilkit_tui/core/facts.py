"""The lists of the screen of one run: configuration, checkpoints, results, alerts."""

import time
from pathlib import Path
from typing import Any, NamedTuple

from distilkit.errors import UserError
from distilkit.evaluation.results import read_measures
from distilkit.files import read_json
from distilkit_tui.core.entry import Entry, flat, number
from distilkit_tui.core.figures import duration, size
from distilkit_tui.core.history import History
from distilkit_tui.core.progress import GLYPHS, parts


class Row(NamedTuple):
    """A line of a list: what it is called, and what it says."""

    name: str
    text: str
    more: str = ""


def configuration(entry: Entry) -> list[Row]:
    """Return every key with its value and who set it, what was set first, then where and with what it was run."""
    given = flat(entry.record["recipe"]) if isinstance(entry.record.get("recipe"), dict) else {}
    overrides = entry.record.get("overrides")
    typed = {str(text).partition("=")[0].strip() for text in overrides} if isinstance(overrides, list) else set()
    rows = [
        Row(key, _shown(value), "--set" if key in typed else "recipe" if key in given else "")
        for key, value in entry.settings.items()
    ]
    rows.sort(key=lambda row: not row.more)
    for section in ("data", "versions", "host"):
        found = entry.record.get(section)
        if isinstance(found, dict):
            rows += [Row(f"{section}: {key}", _shown(value)) for key, value in flat(found).items()]
    rows += [Row(key, _shown(entry.record[key])) for key in ("created", "git", "argv") if entry.record.get(key)]
    return rows


def checkpoints(entry: Entry, history: History) -> list[Row]:
    """Return the checkpoints that lie on disk, then those that were written, the newest first."""
    rows = []
    for path in sorted(Path(entry.folder.checkpoints).glob("*/checkpoint-*")):
        try:
            files = [file.stat().st_size for file in path.iterdir()]
        except OSError:
            continue
        rows.append(Row(f"{path.parent.name}/{path.name}", size(sum(files)), "on disk"))
    with history.lock:
        notes = list(reversed(history.checkpoints))
    return rows + [Row(f"{note.stage}, step {note.step}", "", clock(note.time)) for note in notes]


def results(entry: Entry) -> list[Row]:
    """Return each system's measures and cost on each query set; raises nothing, whatever the files hold."""
    rows = []
    for place in sorted(Path(entry.folder.eval).glob("*")):
        systems = {entry.key: place}
        systems |= {path.name: path for path in sorted((place / "references").glob("*"))}
        for name, path in systems.items():
            if row := _result(f"{place.name} · {name}", path):
                rows.append(row)
    return rows


def _result(name: str, path: Path) -> Row | None:
    try:
        found = read_measures(path / "measures.json")
        cost = read_json(path / "cost.json") if (path / "cost.json").exists() else {}
    except (UserError, OSError, ValueError):
        return None
    measures = "  ".join(f"{measure} {value:.4f}" for measure, value in found["measures"].items())
    cost = cost if isinstance(cost, dict) else {}
    per_query = cost.get("ms_per_query")
    spent = number(per_query.get("p50")) if isinstance(per_query, dict) else None
    parameters = number(cost.get("parameters"))
    more = [f"{spent:.1f} ms/query"] if spent else []
    more += [f"{parameters:,.0f} parameters"] if parameters else []
    return Row(name, measures, "  ".join(more))


def alerts(entry: Entry, history: History, stopping: bool) -> list[Row]:
    """Return what deserves attention: how the run ended, silence, damage, and what its events tell."""
    rows = []
    silent = silence(entry)
    ended = entry.status.get("exit")
    said = str(ended["error"]) if isinstance(ended, dict) and ended.get("error") else ""
    if entry.problem:
        rows.append(Row("damaged", entry.problem))
    if entry.state == "crashed":
        rows.append(Row("crashed", said or "its process has ended without a word: killed, or out of memory"))
    if entry.state == "stopped":
        rows.append(Row("stopped", said or "on request"))
    if entry.state == "stalled":
        rows.append(Row("stalled", f"no sign of life for {duration(silent)}; its process is still there"))
    if entry.state == "lost":
        rows.append(Row("lost", f"no sign of life from its machine for {duration(silent)}"))
    if stopping and entry.live:
        rows.append(Row("stopping", "it was asked to stop, and will behind the next checkpoint"))
    with history.lock:
        if history.damaged:
            rows.append(Row("events.jsonl", f"{history.damaged} lines cannot be read"))
        rows += [Row(f"{note.stage}, step {note.step}", note.text, clock(note.time)) for note in history.alerts[-100:]]
    return rows


def silence(entry: Entry) -> float | None:
    """Return the seconds since the last sign of life."""
    heartbeat = number(entry.status.get("hb_t"))
    return max(0.0, time.time() - heartbeat) if heartbeat is not None else None


def clock(seconds: float) -> str:
    """Return a moment in local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def progress_line(entry: Entry, twin: Entry | None) -> str:
    """Return a run's parts in a line: `✓ teacher: fine_tune  ▶ student: distil  ○ evaluation`."""
    return "  ".join(f"{GLYPHS[part.state]} {part.label}" for part in parts(entry, twin))


def _shown(value: Any) -> str:
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

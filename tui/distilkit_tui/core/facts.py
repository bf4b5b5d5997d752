"""The lists of the screen of one run: configuration, checkpoints, results, alerts; and configurations side by side."""

import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from distilkit.errors import UserError
from distilkit.problems import shown
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import as_table, flat
from distilkit.tables import size
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.history import History
from distilkit_tui.core.text import duration

# What stands in a run.json beside the configuration, and a value that a run does not have.
SECTIONS = ("data", "versions", "host")
ABSENT = "–"


class ListRow(NamedTuple):
    """A line of a list: what it is called, and what it says."""

    name: str
    text: str
    more: str = ""


def configuration(entry: Entry) -> list[ListRow]:
    """Return every key with its value and who set it, what was set first, then where and with what it was run."""
    given = flat(entry.record.recipe)
    typed = {text.partition("=")[0].strip() for text in entry.record.overrides}
    rows = [
        ListRow(key, _plain(value), "--set" if key in typed else "recipe" if key in given else "")
        for key, value in entry.settings.items()
    ]
    rows.sort(key=lambda row: not row.more)
    rows += [ListRow(key, _plain(value)) for key, value in _sections(entry).items()]
    raw = entry.record.raw
    return rows + [ListRow(key, _plain(raw[key])) for key in ("created", "git", "argv") if raw.get(key)]


def side_by_side(entries: Sequence[Entry], only_changed: bool) -> dict[str, list[str]]:
    """Return each key's value in every run; of one run, or where asked, all keys, else those that differ."""
    values = [{**entry.settings, **_sections(entry)} for entry in entries]
    tables = [{key: shown(value) for key, value in one.items()} for one in values]
    keys = dict.fromkeys(key for one in tables for key in one if key not in ("name", "description"))
    rows = {key: [one.get(key, ABSENT) for one in tables] for key in keys}
    return {key: row for key, row in rows.items() if not only_changed or len(entries) < 2 or len(set(row)) > 1}


def _sections(entry: Entry) -> dict[str, object]:
    """Return what stands in a run.json beside the configuration, flat: `data: name` -> `pydocs`."""
    tables = {section: flat(as_table(entry.record.raw.get(section))) for section in SECTIONS}
    return {f"{section}: {key}": value for section, table in tables.items() for key, value in table.items()}


def checkpoints(entry: Entry, history: History) -> list[ListRow]:
    """Return the checkpoints that lie on disk, then those that were written, the newest first."""
    rows = []
    for path in sorted(entry.folder.checkpoints.glob("*/checkpoint-*")):
        try:
            taken = sum(file.stat().st_size for file in path.iterdir())
        except OSError:
            continue
        rows.append(ListRow(f"{path.parent.name}/{path.name}", size(taken), "on disk"))
    with history.lock:
        notes = list(reversed(history.checkpoints))
    return rows + [ListRow(f"{note.stage}, step {note.step}", "", clock(note.time)) for note in notes]


def results(entry: Entry) -> list[ListRow]:
    """Return each system's measures and cost on each query set; raises nothing, whatever the files hold."""
    rows = []
    for eval_set, student in StoredRun(entry.folder.path).all_results().items():
        for name, files in {entry.key: student, **student.references()}.items():
            try:
                found, cost = files.measures(), files.cost()
            except UserError:
                continue
            if found is not None:
                said = "  ".join(f"{measure} {value:.4f}" for measure, value in found.measures.items())
                more = [f"{cost.ms_per_query:.1f} ms/query"] if cost.ms_per_query else []
                more += [f"{cost.parameters:,.0f} parameters"] if cost.parameters else []
                rows.append(ListRow(f"{eval_set} · {name}", said, "  ".join(more)))
    return rows


def alerts(entry: Entry, history: History, stopping: bool) -> list[ListRow]:
    """Return what deserves attention: how the run ended, silence, damage, and what its events tell."""
    trouble = trouble_of(entry)
    rows = [ListRow(entry.state, f"{trouble.cause}. {trouble.remedy}")] if trouble else []
    if stopping and entry.live:
        rows.append(ListRow("stopping", "it was asked to stop and will do so after the next checkpoint"))
    with history.lock:
        if history.damaged:
            rows.append(ListRow("events.jsonl", f"{history.damaged} lines cannot be read"))
        rows += [
            ListRow(f"{note.stage}, step {note.step}", note.text, clock(note.time)) for note in history.alerts[-100:]
        ]
    return rows


_TOO_LARGE = re.compile(r"memory ran out.*?: lower (.+?)(?:;|$)")
"""What `distilkit.errors.out_of_memory` says: memory ran out, and what to lower."""


class Trouble(NamedTuple):
    """Why a run does not go on, and what to do about it."""

    remedy: str
    cause: str


def trouble_of(entry: Entry) -> Trouble | None:
    """Return why a run does not go on and what to do about it; None where it goes on or is done."""
    said, silent = " ".join(entry.status.error.split()), silence(entry)
    for command in ("continue with --resume auto", "go on with --resume auto"):  # as earlier versions said
        said = said.removesuffix(command)
    said, quiet = said.rstrip("; .").removeprefix("stopped"), duration(silent)
    at = f", near step {entry.step[0]} of {entry.step[1]}" if entry.step else ""
    again = f"Press r to continue from its last checkpoint{at}."
    if lower := _TOO_LARGE.search(said):
        again = (
            f"Lower {lower[1]} and run it again with --resume auto; r alone changes nothing, and memory runs out again."
        )
    elif entry.record.twin_of:
        again = f"Open {entry.record.twin_of}, whose twin it is, and press r there to continue."
    found = {
        "crashed": (again, said or "its process ended without a message: it was killed, or memory ran out"),
        "stopped": (again, said or "it was stopped on request"),
        "damaged": (f"Repair or delete {entry.folder.path}.", entry.problem),
        "stalled": (
            "Wait, or press x twice to kill it and r to continue from its last checkpoint.",
            f"its process has given no sign of life for {quiet}, but still exists",
        ),
        "lost": (
            "Check whether its machine is still working on it; if not, press r to continue here.",
            f"no sign of life has come from its machine for {quiet}",
        ),
    }
    return Trouble(*found[entry.state]) if entry.state in found else None


def waiting(entry: Entry, others: Iterable[Entry]) -> str:
    """Return the sentence on the artifact that a run waits for, and which run builds it; empty where it waits for none.

    That is the run that goes on, waits for nothing itself and needs the artifact, if there is one such alone.
    """
    what = entry.status.waiting
    if not what or not entry.live:
        return ""
    there = [one for one in others if one.live and one.key != entry.key and not one.status.waiting]
    builders = [one.key for one in there if what in (StoredRun(one.folder.path).needs() or ())]
    who = builders[0] if len(builders) == 1 else "another run"
    return f"waiting for {who}, which is building the same {what.partition('/')[0].replace('_', ' ')}"


def silence(entry: Entry) -> float | None:
    """Return the seconds since the last sign of life."""
    heartbeat = entry.status.heartbeat
    return max(0.0, time.time() - heartbeat) if heartbeat is not None else None


def clock(seconds: float) -> str:
    """Return a moment in local time."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (ValueError, OverflowError, OSError):
        return ""


def _plain(value: object) -> str:
    return ABSENT if value is None else str(value).lower() if isinstance(value, bool) else str(value)

"""All runs under one folder, kept up to date by looking: what is live often, the rest now and then."""

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from distilkit.errors import UserError
from distilkit.run_folders.disk import taken
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.listing import find_runs
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import RunStatus
from distilkit.run_folders.state import derive
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.history import History
from distilkit_tui.core.suites import SuiteEntry, plan_of, suites_of
from distilkit_tui.core.tail import Log

# Seconds between two searches for new, vanished and resumed runs.
SCAN_EVERY = 2.5
# How long one look may spend on reading events before it shows what it has.
BUDGET = 0.1
# How many runs' curves are kept in memory.
KEPT = 100
# Seconds over which a run's pace is taken.
WINDOW = 60.0

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Snapshot:
    """The runs and suites at one moment, by key; `problem` says why there are none.

    The version grows with changes; it is 0 until the folder was looked at.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    problem: str = ""
    version: int = 0
    suites: dict[str, SuiteEntry] = field(default_factory=dict)

    @property
    def live(self) -> int:
        """How many runs are being worked on."""
        return sum(entry.live for entry in self.entries.values())


class RunStore:
    """Reads run folders; `poll` belongs to one thread, which hands its Snapshots to the others."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self.watched: frozenset[str] = frozenset()
        self.behind = False
        self._log: tuple[str, Log] | None = None
        self._snapshot = Snapshot()
        self._stamps: dict[str, tuple[Stamp, ...]] = {}
        self._steps: dict[str, deque[tuple[float, float]]] = {}
        self._histories: dict[str, History] = {}
        self._scanned = -SCAN_EVERY
        self._plans: dict[str, tuple[Stamp, Path, tuple[str, ...]]] = {}

    def watch(self, keys: Iterable[str], log: str | None = None) -> None:
        """Say whose events are wanted, and whose log; any thread may."""
        self.watched = frozenset(keys)
        if log is None:
            self._log = None
        else:
            self.log(log)

    def log(self, key: str) -> Log:
        """Return a run's log, which `poll` fills; only one is followed at a time."""
        if self._log is None or self._log[0] != key:
            self._log = (key, Log(RunFolder(self.runs_dir / key).log))
        return self._log[1]

    def history(self, key: str) -> History:
        """Return a watched run's history, which `poll` fills."""
        found = self._histories.get(key)
        return found or self._histories.setdefault(key, History(RunFolder(self.runs_dir / key)))

    def hurry(self) -> None:
        """Search at the next look, since something was started, stopped or deleted."""
        self._scanned = -SCAN_EVERY

    def poll(self) -> Snapshot:
        """Look once: the runs, and the watched ones' events; `behind` says that more of those are there to be read."""
        before = self._snapshot
        scan = time.monotonic() - self._scanned >= SCAN_EVERY
        entries, problem = self._scan() if scan else (before.entries, before.problem)
        renewed = {key: self._renewed(entry, scan) for key, entry in entries.items()}
        plans = self._plans
        if scan:
            self._plans = self._planned()
        # The first look is news, too, where it finds nothing.
        changed = not before.version or problem != before.problem or plans != self._plans
        changed = changed or renewed.keys() != before.entries.keys()
        changed = changed or any(entry is not before.entries.get(key) for key, entry in renewed.items())
        grown = self._read_events(renewed)
        if followed := self._log:
            grown = followed[1].read() or grown
        version = before.version + (changed or grown)
        if changed:
            found = {name: (folder, keys) for name, (_, folder, keys) in self._plans.items()}
            self._snapshot = Snapshot(renewed, problem, version, suites_of(renewed, found))
        else:
            self._snapshot = replace(before, version=version)
        return self._snapshot

    def _planned(self) -> dict[str, tuple[Stamp, Path, tuple[str, ...]]]:
        """Return the folder and the runs' keys of each suite; a suite.json is read where it has changed."""
        found = {}
        for path in sorted(self.runs_dir.glob("*/suite.json")):
            name, stamp = path.parent.name, _stamp(path)
            if name.startswith("."):
                continue
            known = self._plans.get(name)
            found[name] = known if known and known[0] == stamp else (stamp, path.parent, plan_of(path.parent))
        return found

    def _scan(self) -> tuple[dict[str, Entry], str]:
        """Return the runs that there are, those known already as they were, and why there are none."""
        self._scanned = time.monotonic()
        if not self.runs_dir.is_dir():
            self._histories.clear()
            return {}, f"press n to start a first run: there is no folder {self.runs_dir} yet"
        try:
            folders = [run.folder for run in find_runs(self.runs_dir)]
        except OSError as error:
            return {}, f"{self.runs_dir} cannot be read: {error.strerror}"
        before = self._snapshot.entries
        found = {}
        for folder in folders:
            key = str(folder.path.relative_to(self.runs_dir))
            found[key] = before.get(key) or Entry(key, folder, "new")
        for key in self._stamps.keys() - found.keys():
            del self._stamps[key]
            self._histories.pop(key, None)
            self._steps.pop(key, None)
        return found, ""

    def _renewed(self, entry: Entry, scan: bool) -> Entry:
        """Return an entry as it is now: the same object where nothing changed."""
        if not (scan or entry.live or entry.state == "new"):
            return entry
        folder = entry.folder
        measures = folder.eval / "test" / "measures.json"
        stamps = tuple(_stamp(path) for path in (folder.run_json, folder.status_json, measures))
        if stamps == self._stamps.get(entry.key):
            if entry.state in ("done", "stopped", "damaged"):
                return entry
            state = derive(folder, entry.record, entry.status)
            return entry if state == entry.state else replace(entry, state=state)
        self._stamps[entry.key] = stamps
        found = read_entry(entry.key, folder)
        return replace(found, pace=self._pace(entry.key, found.status)) if found.live else found

    def _pace(self, key: str, status: RunStatus) -> float | None:
        """Return a run's steps a second by the clock, validation included, by what it reported lately."""
        now, step = status.heartbeat, status.step
        if now is None or step is None:
            return None
        seen = self._steps.setdefault(key, deque())
        if seen and (step < seen[-1][1] or now < seen[-1][0]):
            seen.clear()  # another stage, or begun anew
        seen.append((now, step))
        while seen[0][0] < now - WINDOW:
            seen.popleft()
        since, first = seen[0]
        return (step - first) / (now - since) if now > since and step > first else None

    def _read_events(self, entries: dict[str, Entry]) -> bool:
        """Read on in the watched runs' events; return whether there were any."""
        wanted = self.watched & entries.keys()
        # Kept while it costs little: a finished run's events are not read twice.
        for key in list(self._histories.keys() - wanted)[: max(0, len(self._histories) - KEPT)]:
            self._histories.pop(key, None)
        grown, end = False, time.monotonic() + BUDGET
        self.behind = False
        for key in sorted(wanted):
            history = self.history(key)
            while history.read():
                grown = True
                if time.monotonic() > end:
                    self.behind = True
                    return True
        return grown


def read_entry(key: str, folder: RunFolder) -> Entry:
    """Return a run as its files tell it; what cannot be read makes it `damaged`, with the reason."""
    run, size = StoredRun(folder.path), taken(folder.path).size
    try:
        status, found = run.status(), run.results().measures()
        measures = found.measures if found else {}
        return Entry(key, folder, run.state(status), run.record, status, measures, bytes=size)
    except UserError as error:
        return Entry(key, folder, "damaged", problem=str(error), bytes=size)
    except OSError as error:
        return Entry(key, folder, "damaged", problem=f"{folder.path} cannot be read: {error}", bytes=size)


def _stamp(path: Path) -> Stamp:
    """Return what changes when a file is replaced."""
    try:
        facts = path.stat()
    except OSError:
        return (0, 0, 0)
    return (facts.st_mtime_ns, facts.st_size, facts.st_ino)

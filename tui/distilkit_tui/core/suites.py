"""Suites as rows of the table of runs: their runs below them, and stop, resume and delete of the whole."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from distilkit.errors import UserError
from distilkit.run_folders.names import SEPARATOR, short_names
from distilkit.run_folders.read import read_suite
from distilkit.run_folders.record import as_table, text
from distilkit.run_folders.suites import PLANNED, progress, seconds_left, state_of
from distilkit_tui.core.control import Child, Launcher, delete, request_stop
from distilkit_tui.core.entry import Entry

MARK = "/"
"""What the key of a suite ends in, which no run's does."""


@dataclass(frozen=True)
class SuiteEntry:
    """A suite's folder, by its key, with those of its runs that were started and the keys of those that were not."""

    key: str
    folder: Path
    entries: tuple[Entry, ...]
    planned: tuple[str, ...]

    @property
    def states(self) -> list[str]:
        """The states of all its runs."""
        return [*(entry.state for entry in self.entries), *(PLANNED for _ in self.planned)]

    @property
    def state(self) -> str:
        """What it is as a whole."""
        return state_of(self.states)

    @property
    def live(self) -> bool:
        """Whether any of its runs is being worked on."""
        return any(entry.live for entry in self.entries)

    @property
    def left(self) -> float | None:
        """The seconds that are left, None where that is not known."""
        told = [(one.state, one.status.whole.get("spent_s"), one.status.whole.get("left_s")) for one in self.entries]
        return seconds_left([*told, *((PLANNED, None, None) for _ in self.planned)])

    @property
    def progress(self) -> str:
        """How far it is: `4 of 6, 21 min left`."""
        return progress(self.states, self.left)

    @cached_property
    def names(self) -> dict[str, str]:
        """Its runs' short names by key."""
        return short_names([*(entry.key for entry in self.entries), *self.planned])


def suites_of(entries: Mapping[str, Entry], plans: Mapping[str, tuple[Path, Sequence[str]]]) -> dict[str, SuiteEntry]:
    """Return the suites by key; `plans` has the folder of each and the keys of its runs as its matrix says them."""
    found = {}
    for name, (folder, keys) in plans.items():
        # The twins and whatever else lies in the folder come behind the runs of the matrix.
        there = [key for key in entries if key.startswith(f"{name}/") and key not in keys]
        started = tuple(entries[key] for key in (*keys, *there) if key in entries)
        planned = tuple(key for key in keys if key not in entries)
        found[f"{name}{MARK}"] = SuiteEntry(f"{name}{MARK}", folder, started, planned)
    return found


def plan_of(folder: Path) -> tuple[str, ...]:
    """Return the keys of a suite's runs, in its matrix's order; empty where its suite.json is damaged."""
    try:
        runs = read_suite(folder).get("runs")
    except (UserError, OSError):
        return ()
    names = [text(as_table(one).get("name")) for one in runs] if isinstance(runs, list) else []
    return tuple(f"{folder.name}/{Path(name).name}" for name in names if name)


def rows(entries: Iterable[Entry], suites: Mapping[str, SuiteEntry], opened: Mapping[str, bool]) -> list[str]:
    """Return the keys of the table's rows: a suite where its first run would stand, its runs below it if it is open."""
    found: list[str] = []
    seen: set[str] = set()
    members: dict[str, list[str]] = {}
    listed = list(entries)
    for entry in listed:
        members.setdefault(f"{entry.key.partition('/')[0]}{MARK}", []).append(entry.key)
    for entry in listed:
        key = f"{entry.key.partition('/')[0]}{MARK}"
        if key not in suites or "/" not in entry.key:
            found.append(entry.key)
        elif key not in seen:
            seen.add(key)
            found += [key, *((*members[key], *suites[key].planned) if is_open(suites[key], opened) else ())]
    for key in suites:
        if key not in seen and not suites[key].entries:
            found += [key, *(suites[key].planned if is_open(suites[key], opened) else ())]
    return found


def title(key: str, suites: Mapping[str, SuiteEntry]) -> str:
    """Return how a run is named where it stands alone: suite and short name of a suite's run."""
    suite = suites.get(f"{key.partition('/')[0]}{MARK}")
    return f"{suite.folder.name}{SEPARATOR}{suite.names[key]}" if suite is not None and key in suite.names else key


def is_open(suite: SuiteEntry, opened: Mapping[str, bool]) -> bool:
    """Return whether a suite's runs are shown: as it was left, else while it runs."""
    return opened.get(suite.key, suite.live)


def stop(suite: SuiteEntry) -> None:
    """Ask all runs that are being worked on to stop; raises UserError where there is none."""
    live = [entry for entry in suite.entries if entry.live]
    if not live:
        raise UserError(f"{suite.folder.name} is {suite.state}; there is nothing to stop")
    for entry in live:
        request_stop(entry)


def resume(suite: SuiteEntry, launcher: Launcher) -> Child:
    """Go on with a suite in a process of its own; raises UserError where it cannot be."""
    name = suite.folder.name
    if suite.live:
        raise UserError(f"{name} is {suite.state}; there is nothing to resume")
    recipe = as_table(read_suite(suite.folder).get("recipe"))
    if not recipe:
        raise UserError(f"{suite.folder / 'suite.json'}: the recipe is missing, so the suite cannot be resumed")
    return launcher.resume_recipe(recipe, suite.folder.parent, name)


def remove(suite: SuiteEntry) -> None:
    """Delete a suite's runs and then its folder; raises UserError where one of them is being worked on."""
    busy = next((entry for entry in suite.entries if entry.live), None)
    if busy is not None:
        raise UserError(f"{busy.key} is {busy.state}; stop the suite first")
    for entry in suite.entries:
        delete(entry.folder)
    try:
        if any((path / "run.json").exists() for path in suite.folder.iterdir() if path.is_dir()):
            raise UserError(f"{suite.folder}: a run was begun meanwhile; the folder stays")
        shutil.rmtree(suite.folder)
    except OSError as error:
        raise UserError(f"{suite.folder} cannot be deleted: {error}") from None

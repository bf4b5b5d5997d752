"""What a run says while it works: progress bars or plain lines, events, log and life signs."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column, Table
from rich.text import Text

from distilkit.alive import process_start
from distilkit.errors import Stopped
from distilkit.pipeline.trackers import Trackers
from distilkit.pipeline.whole import Whole
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.record import number, parse_event
from distilkit.tables import duration, plain

# status.json is replaced no more often than this, and a reader worries after three times what it was told to expect.
STATUS_EVERY = 1.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PLAIN_EVERY = 15.0


class Figures(ProgressColumn):
    """What stands behind a bar: how many of how many, how long the rest takes, the loss."""

    def __init__(self) -> None:
        super().__init__(table_column=Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """Return the text of one bar."""
        if task.fields.get("bare"):
            return Text(task.fields["figures"])
        left = "" if task.time_remaining is None or task.finished else f", {duration(task.time_remaining)} left"
        figures = task.fields["figures"]
        return Text(f"{task.completed:.0f}/{task.total:.0f}{left}{', ' + figures if figures else ''}")


class Phase:
    """One piece of work with a known size: `advance` counts it and shows what it came to."""

    def __init__(
        self, reporter: "Reporter", label: str, total: int, done: int, training: bool, work: float = 0.0
    ) -> None:
        self._reporter, self.label, self.total, self.done, self.training = reporter, label, total, done, training
        self._work, self._advanced = work, 0.0
        reporter.whole.skip(done * work)
        self.started, self._first = time.monotonic(), done
        self._task = (
            reporter.bars.add_task(escape(plain(label)), total=total, completed=done, figures="")
            if reporter.bars
            else None
        )
        self._said = self.started

    def advance(self, values: dict[str, float] | None = None, count: int = 1) -> None:
        """Count `count` more, with figures to show."""
        self.done += count
        self._show(values or {})

    def reach(self, done: int, total: int | None = None, share: float | None = None) -> None:
        """Say how much is done in all; fits a `progress(done, total)` callback.

        `share` tells how much of the work that is, where units are unequal.
        """
        # Of some work the size is not known before its end.
        self.done, self.total = done, total or max(self.total, done)
        self._show({}, share)

    @property
    def rate(self) -> float:
        """How much is done a second."""
        return (self.done - self._first) / max(time.monotonic() - self.started, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at this rate."""
        return (self.total - self.done) / self.rate if self.rate else None

    def _show(self, values: dict[str, float], share: float | None = None) -> None:
        reporter = self._reporter
        reporter.values.update(values)
        reached = (self.done - self._first if share is None else share * self.total) * self._work
        reporter.advance_whole(reached - self._advanced)
        self._advanced = reached
        pace = "" if self.training or not self.rate else f"{self.rate:,.0f}/s"
        figures = f"loss {values['loss']:.4g}" if "loss" in values else pace
        if reporter.bars and self._task is not None:
            reporter.bars.update(self._task, completed=self.done, total=self.total, figures=figures)
        elif time.monotonic() - self._said > PLAIN_EVERY:
            self._said = time.monotonic()
            left = f", {self.seconds_left:.0f} s left" if self.seconds_left is not None else ""
            shown = f"{self.label}: {self.done}/{self.total}{', ' + figures if figures else ''}{left}"
            reporter.say(shown + reporter.whole_shown(), log=False)
        reporter.heartbeat(phase=self)
        reporter.raise_if_stopped()

    def finish(self) -> None:
        """Close the bar, or say how long it took."""
        seconds = time.monotonic() - self.started
        self._reporter.heartbeat(phase=self, force=True)
        if self._reporter.bars and self._task is not None:
            self._reporter.bars.update(self._task, completed=self.done)
            self._reporter.bars.stop_task(self._task)
        self._reporter.say(
            f"{self.label}: {self.done}/{self.total} in {seconds:.1f} s{self._reporter.whole_shown()}",
            quiet=bool(self._reporter.bars),
        )


class ProgressBars(Progress):
    """Bars below a table that fills as systems are measured."""

    def __init__(self, *columns: ProgressColumn, console: Console) -> None:
        self.rows: dict[str, dict[str, float]] = {}  # there before the first picture is made
        super().__init__(*columns, console=console)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the table, once there is a row for it, and the bars."""
        if self.rows:
            yield self._table()
        yield self.make_tasks_table(self.tasks)

    def _table(self) -> Table:
        measures = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        table = Table("System", box=SIMPLE_HEAD, pad_edge=False)
        for name in measures:
            table.add_column(escape(name), justify="right")
        for system, row in self.rows.items():
            table.add_row(escape(system), *(f"{row[name]:.4f}" if name in row else "" for name in measures))
        return table


class Reporter:
    """Writes a run's life signs and shows its progress; without a folder it only shows, and `quiet` shows nothing.

    Of several processes one leads: the others leave it to that one to stop them, as they must all stop at one place.
    """

    def __init__(
        self,
        folder: RunFolder | None = None,
        quiet: bool = False,
        console: Console | None = None,
        leads: bool = True,
        parent: "Reporter | None" = None,
    ) -> None:
        self.folder, self._parent = folder, parent
        self.leads: bool = leads if parent is None else parent.leads
        self.prefix = ""
        self._trial = ""
        self._key = ""
        self.console: Console
        self.bars: ProgressBars | None
        self.whole: Whole
        self._whole_task: TaskID | None = None
        self.values: dict[str, float] = {}
        self.fields: dict[str, Any] = {}
        self.trackers: Trackers | None = None if parent is None else parent.trackers
        self._status_at = 0.0
        self._signals: list[int]
        self._in_training = False
        if parent is not None:  # the twin's, which shares the screen and what asks to stop
            self.console, self.bars, self.whole = parent.console, parent.bars, parent.whole
            self._signals = parent._signals
            return
        self.console = console or Console(stderr=True, quiet=quiet, highlight=False)
        self.bars = self._make_bars() if self.console.is_terminal and not quiet else None
        self.whole = Whole()
        self._signals = list[int]()

    def _make_bars(self) -> ProgressBars:
        label = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
        return ProgressBars(label, BarColumn(bar_width=24), Figures(), console=self.console)

    @contextmanager
    def scope(self, prefix: str, trial: str = "") -> Iterator[None]:
        """Put words before every phase of a block, and name the grid point that its events belong to."""
        before = self.prefix, self._trial
        self.prefix, self._trial = prefix, trial or self._trial
        try:
            yield
        finally:
            self.prefix, self._trial = before

    @contextmanager
    def recording(self, key: str, path: Path) -> Iterator[None]:
        """Mark the events of a block with a stage's key, and keep them in a file for runs that reuse the stage."""
        self._key = key
        try:
            yield
            if self.leads:
                self.sync()
                path.write_text("".join(f"{line}\n" for line in self._events_of(key)))
        finally:
            self._key = ""

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show progress and catch Ctrl-C, SIGTERM and a closed terminal as requests to stop, for a block."""
        # Python lets a main thread alone do that. Who ignores SIGHUP, as nohup does, wants the run to go on.
        main = threading.current_thread() is threading.main_thread()
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        caught = [one for one in STOPPING if main and not (ignored and one == signal.SIGHUP)]
        before = {number: signal.signal(number, self._on_signal) for number in caught}
        try:
            if self.bars:
                self.bars.start()
            yield
        finally:
            if self.bars:
                with suppress(OSError):  # a terminal that was closed
                    self.bars.stop()
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def phase(
        self, label: str, total: int, done: int = 0, training: bool = False, work: float = 0.0
    ) -> Iterator[Phase]:
        """Show one piece of work; `work` is what each of its units adds to the whole run's."""
        label = f"{self.prefix}{label}"
        if self.bars:
            for task in self.bars.tasks:
                if task.finished and not task.fields.get("bare"):
                    task.visible = False
        phase = Phase(self, label, total, done, training, work)
        if training:
            self.values = {}  # those of another stage's losses are none of this one's
        before, self._in_training = self._in_training, training or self._in_training
        self.heartbeat(phase=phase, force=True)
        try:
            yield phase
        finally:
            self._in_training = before
        phase.finish()

    def start_whole(self, total: float, before: float = 0.0) -> None:
        """Say how many seconds the whole run takes by the forecast, and how many were spent on it before."""
        self.whole.start(total, before)
        if self.bars and total:
            self._whole_task = self.bars.add_task("the whole run", total=1, figures="", bare=True)

    def advance_whole(self, work: float) -> None:
        """Count some of the whole run's work as done."""
        if self._parent is not None:
            self._parent.advance_whole(work)
            return
        self.whole.advance(work)
        if self.bars and self._whole_task is not None:
            self.bars.update(self._whole_task, completed=self.whole.share, figures=self.whole.figures())

    def whole_shown(self) -> str:
        """Return how far the whole run is as the end of a plain line, empty where that is not known."""
        figures = self.whole.figures()
        return f" (whole run: {figures})" if figures else ""

    def row(self, system: str, measures: dict[str, float], query_set: str = "") -> None:
        """Show what a system reaches, in the table that fills where there is a terminal, else in a line."""
        name = f"{system}, {query_set}" if query_set else system
        if self.bars:
            self.bars.rows[name] = measures
        shown = ", ".join(f"{measure} {value:.4f}" for measure, value in measures.items())
        self.say(f"measured: {name}: {shown}", quiet=bool(self.bars))

    def say(self, text: str, quiet: bool = False, log: bool = True) -> None:
        """Write a line to the log and, unless quiet, to the screen; what does not print is spelled out in both."""
        text = plain(text)
        if log and self.folder:
            self.folder.append_log(text)
        if not quiet:
            with suppress(OSError):  # a terminal that was closed, a pipe that nobody reads: the log has it
                self.console.print(escape(text), soft_wrap=True)

    def event(self, kind: str, stage: str, step: int, values: dict[str, Any]) -> None:
        """Append an event."""
        if self.folder:
            trial = {"trial": self._trial} if self._trial else {}
            key = {"key": self._key[:16]} if self._key else {}
            self.folder.append_event({"step": step, "kind": kind, "stage": stage, **trial, **key, "values": values})
        if self.trackers is not None:
            self.trackers.log(f"{self.prefix}{stage}", kind, step, values)
        if kind == "validation":
            self.fields["validation"] = values
            shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            self.say(f"{self.prefix}{stage}: step {step}, validation {shown}")

    def replay(self, path: Path, key: str) -> None:
        """Enter the events of a stage that another run trained, so that every run has its whole history."""
        if self.folder is None or not path.exists() or self._events_of(key):
            return
        for line in path.read_text().splitlines():
            event = json.loads(line)
            trial = {"trial": self._trial} if self._trial else {}
            kept = {name: value for name, value in event.items() if name != "trial"}
            self.folder.append_event({**kept, **trial, "reused": True})

    def recall(self, key: str) -> None:
        """Show the last losses of a stage again, after those of others."""
        self.sync()
        events = [one for line in self._events_of(key) if (one := parse_event(line)) and one.kind == "train"]
        if events:
            last = max(events, key=lambda one: one.step)
            self.values = {name: value for name, given in last.values.items() if (value := number(given)) is not None}

    def _events_of(self, key: str) -> list[str]:
        """Return the lines of a stage's whole events, those of repeated steps once."""
        if self.folder is None or not self.folder.events.exists():
            return []
        lines = self.folder.events.read_text(errors="replace").split("\n")
        events = ((parse_event(line), line) for line in lines)
        own = {(one.kind, one.step): line for one, line in events if one is not None and one.key == key[:16]}
        return [*own.values()]

    def status(self, state: str, **fields: object) -> None:
        """Replace status.json at once."""
        self.fields.update(fields, state=state)
        self.sync()
        self._write_status(durable=True)

    def heartbeat(
        self, phase: Phase | None = None, expect_next: float = 30, force: bool = False, waiting: str = ""
    ) -> None:
        """Show that the run lives, at most once a second, and with it the run whose twin it is."""
        if self._parent is not None:
            self._parent.take(phase)
            self._parent.heartbeat(expect_next=expect_next)
        # Kept up to date in between too, for the last status may come at any moment.
        self.fields.update(expect_next_s=expect_next, waiting=waiting)
        self.take(phase)
        if phase is not None and phase.training:
            self.fields.update(step=phase.done, total=phase.total)
        if force or time.monotonic() - self._status_at >= STATUS_EVERY:
            self._write_status()

    def take(self, phase: Phase | None) -> None:
        """Say which work is under way, the twin's too; the steps of a run are its own."""
        if phase is not None:
            self.fields.update(phase=phase.label, phase_done=phase.done, phase_total=phase.total)
            self.fields.update(rate=phase.rate, eta=phase.seconds_left)

    def sync(self) -> None:
        """Write the events so far through to the disk."""
        if self.folder:
            self.folder.sync_events()

    def _write_status(self, durable: bool = False) -> None:
        if not self.folder:
            return
        self._status_at = time.monotonic()
        pid = os.getpid()
        record = {
            **self.fields,
            "values": self.values,
            "whole": self.whole.record(),
            "pid": pid,
            "pid_start": process_start(pid),
            "hb_t": time.time(),
        }
        self.folder.write_status(record, durable)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        # Asked twice: at once. A terminal that is closed says so to all, and is often followed by SIGTERM.
        if number != signal.SIGHUP and sum(one != signal.SIGHUP for one in self._signals) > 1:
            raise KeyboardInterrupt
        with suppress(OSError):
            self.console.print("stopping after the next checkpoint; ask again to stop at once")

    def stop_requested(self) -> bool:
        """Return whether a signal or the `stop` file asks the run to stop, its own or that of the twin's run."""
        asked = bool(self._signals) or bool(self.folder and self.folder.stop.exists())
        return asked or (self._parent is not None and self._parent.stop_requested())

    def raise_if_stopped(self) -> None:
        """Stop here when asked to, except in training, which writes a checkpoint first."""
        if self.leads and not self._in_training and self.stop_requested():
            self.stop()

    def stop(self) -> NoReturn:
        """Raise Stopped."""
        raise Stopped("stopped; continue with --resume auto")

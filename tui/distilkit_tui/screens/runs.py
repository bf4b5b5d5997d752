"""All runs: a table that can be filtered, sorted and marked, and the curves of the run under the cursor."""

import asyncio
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from distilkit.errors import UserError
from distilkit.run_folders.names import short_names
from distilkit.tables import size
from distilkit_tui.core.entry import DESCENDING, ORDERS, STATES, Entry, ordered
from distilkit_tui.core.filters import compile_filter
from distilkit_tui.core.store import Snapshot
from distilkit_tui.core.suites import MARK, SuiteEntry, is_open, remove, resume, rows, stop
from distilkit_tui.core.text import duration, figure, optional, rate, safe
from distilkit_tui.keys import bindings
from distilkit_tui.screens.base import RunActions, RunCurves
from distilkit_tui.screens.dialogs import Columns, Confirm, Pick
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# Order -> its column; the marks have none.
COLUMNS: dict[str, Column] = {
    "mark": Column("", 2),
    "name": Column("run", 16, grow=3, middle=True),
    "state": Column("state", 9),
    "strategy": Column("strategy", 12, grow=2, rank=3, middle=True),
    "student": Column("student", 16, grow=1, rank=2, middle=True),
    "step": Column("step", 11, align="right", rank=7),
    "loss": Column("loss", 8, align="right", rank=6),
    "validation": Column("valid.", 7, align="right", rank=8),
    "test": Column("test", 7, align="right", rank=4),
    "rate": Column("rate", 7, align="right", rank=1),
    "eta": Column("ETA", 6, align="right", rank=5),
    "disk": Column("disk", 10, align="right", rank=0),
}
# What n offers while there is no run.
FIRST_RECIPE = "quickstart"
FIRST = {
    FIRST_RECIPE: "start it now: every part of a run in about a minute",
    "another": "choose a recipe and change it",
}
# Those that can be left out, and what short titles stand for.
CHOOSABLE = [order for order in COLUMNS if order not in ("mark", "name")]
SPELLED_OUT = {
    "loss": "loss, the last one",
    "validation": "valid.: the measure on validation queries, the last one",
    "test": "test: the measure on test queries",
    "rate": "rate: steps per second",
    "eta": "ETA: time that is left",
    "disk": "disk: size of the folder",
}


class RunsScreen(RunActions):
    """The home of the application."""

    MODE = "runs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("runs")]

    def __init__(self) -> None:
        super().__init__()
        self._filter, self._all_pass = "", compile_filter("")
        self._opened: dict[str, bool] = {}

    def body(self) -> ComposeResult:
        """Table, filter, curves."""
        yield VirtualTable(list(COLUMNS.values()), id="runs")
        yield Static("", id="facts", markup=False)
        yield Input(placeholder="state:running nDCG@10>0.4 -tiny", id="filter")
        yield RunCurves(id="preview")

    def on_mount(self) -> None:
        """Give the keys to the table."""
        self.table.focus()

    @property
    def _order(self) -> str:
        """What runs are sorted by: what was chosen last, also in another session."""
        chosen = self.main.preferences.order
        return chosen if chosen in ORDERS else "started"

    @property
    def _reverse(self) -> bool:
        return self.main.preferences.reverse

    def _sort(self, order: str, reverse: bool) -> None:
        self.main.prefer(order=order, reverse=reverse)
        self.runs_changed(self.main.snapshot)

    @property
    def table(self) -> VirtualTable:
        """The table of runs."""
        return self.query_one(VirtualTable)

    @property
    def key(self) -> str | None:
        """The run under the cursor."""
        return self.table.cursor_key

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show what passes the filter, in order, and the curves."""
        entries, problem = snapshot.entries.values(), ""
        try:
            passes = compile_filter(self._filter)
        except UserError as error:
            problem, passes = str(error), self._all_pass
        chosen = ordered(filter(passes, entries), self._order, self._reverse)
        if not chosen:
            problem = problem or passes.complaint(list(entries))
        # A filter looks for runs: they are shown as they are found, under their whole names.
        keys = [entry.key for entry in chosen] if self._filter else rows(chosen, snapshot.suites, self._opened)
        self.table.columns = self._columns(self._widest(snapshot, keys))
        self.table.show(keys, lambda key: self._row(snapshot, key), self._empty(snapshot, problem))
        self._tell(len(chosen), len(snapshot.entries), problem)
        self.draw()

    def _widest(self, snapshot: Snapshot, keys: list[str]) -> int:
        """Return the width of the longest name shown, but no more than half of the screen."""
        names = [key if key not in snapshot.suites else _suite_title(snapshot.suites[key], "▸") for key in keys]
        if not self._filter:
            names = [self._named(snapshot, key) or name for key, name in zip(keys, names, strict=True)]
        return min(max([COLUMNS["name"].width, *map(len, names)]), max(COLUMNS["name"].width, self.size.width // 2))

    def _named(self, snapshot: Snapshot, key: str) -> str:
        """Return how a run is named below its suite; empty for what stands for itself."""
        suite = None if self._filter else snapshot.suites.get(f"{key.partition('/')[0]}{MARK}")
        return f"└ {suite.names[key]}" if suite is not None and key in suite.names else ""

    def _columns(self, name: int) -> list[Column]:
        arrow = "▼" if (self._order in DESCENDING) != self._reverse else "▲"
        hidden = self.main.preferences.hidden
        return [
            replace(
                column,
                width=name if order == "name" else column.width,
                title=f"{column.title}{arrow}" if order == self._order else column.title,
                hidden=order in hidden and order in CHOOSABLE,
            )
            for order, column in COLUMNS.items()
        ]

    def _row(self, snapshot: Snapshot, key: str) -> list[Cell]:
        """Return the cells of a suite, or of a run, which stands indented under its suite."""
        if key in snapshot.suites:
            return self._suite_cells(snapshot.suites[key])
        name = self._named(snapshot, key)
        if key not in snapshot.entries:
            return ["", name or key, Styled("· planned", "text-muted"), *("" for _ in range(len(COLUMNS) - 3))]
        cells = self._cells(snapshot.entries[key])
        return [cells[0], name, *cells[2:]] if name else cells

    def _suite_cells(self, suite: SuiteEntry) -> list[Cell]:
        glyph, colour = STATES.get(suite.state, ("·", ""))
        sign = "▾" if is_open(suite, self._opened) else "▸"
        cells: list[Cell] = [""] * len(COLUMNS)
        cells[1] = Styled(_suite_title(suite, sign), bold=True)
        cells[2] = Styled(f"{glyph} {suite.state}", colour)
        cells[list(COLUMNS).index("eta")] = duration(suite.left)
        cells[list(COLUMNS).index("disk")] = size(sum(entry.bytes for entry in suite.entries))
        return cells

    def _cells(self, entry: Entry) -> list[Cell]:
        glyph, colour = STATES.get(entry.state, ("·", ""))
        mark = "◆" if entry.key in self.main.baselines else "●" if entry.key in self.main.marks else ""
        validation, test = (found.get(entry.measure) for found in (entry.validation, entry.measures))
        return [
            Styled(mark, "accent"),
            entry.key,
            Styled(f"{glyph} {entry.state}", colour),
            entry.strategy,
            entry.student,
            "/".join(map(str, entry.step or ())),
            figure(entry.loss) if entry.loss is not None else "",
            optional(validation),
            optional(test),
            rate(entry.rate),
            duration(entry.eta),
            size(entry.bytes),
        ]

    def _empty(self, snapshot: Snapshot, problem: str) -> str:
        if snapshot.problem:
            return snapshot.problem
        if not snapshot.version:
            return "looking for runs …"
        if snapshot.entries:
            return problem or "no run passes the filter; escape clears it"
        return f"press n to start a first run: there is none in {self.main.store.runs_dir} yet"

    def _tell(self, shown: int, total: int, problem: str) -> None:
        parts = [f"{shown} of {total}" if self._filter else f"{total} runs"]
        order = "start" if self._order == "started" else self._order
        parts.append(f"sorted by {order}{', reversed' if self._reverse else ''}")
        if self._filter:
            parts.append(problem or f"filter {self._filter}")
        if self.main.marks:
            baselines = f", {len(self.main.baselines)} as baseline" if self.main.baselines else ""
            parts.append(f"{len(self.main.marks)} marked{baselines}")
        self.query_one("#facts", Static).update(safe(" · ".join(parts)))

    def draw(self) -> None:
        """Draw the curves of the run under the cursor and of the marked ones, the former on top."""
        own = [entry.key for entry in self.suite.entries] if self.suite else [self.entry.key] if self.entry else []
        keys = [*(key for key in self.main.marks if key not in own), *own]
        first = self.entry.measure if self.entry is not None else ""
        self.query_one(RunCurves).draw(short_names(keys), self.view, first)

    @on(VirtualTable.Highlighted)
    def _highlighted(self) -> None:
        self.draw()

    @property
    def suite(self) -> SuiteEntry | None:
        """The suite under the cursor."""
        return self.main.snapshot.suites.get(self.key or "")

    @on(VirtualTable.Selected)
    async def _selected(self, event: VirtualTable.Selected) -> None:
        if (suite := self.suite) is not None:
            self._opened[suite.key] = not is_open(suite, self._opened)
            self.runs_changed(self.main.snapshot)
            return
        if event.key not in self.main.snapshot.entries:
            self.warn(f"{event.key} is planned, but was not started yet")
            return
        self.main.current = event.key
        await self.main.action_mode("run")

    @on(VirtualTable.HeaderClicked)
    def _sort_by(self, event: VirtualTable.HeaderClicked) -> None:
        order = list(COLUMNS)[event.column]
        if order in ORDERS:
            self._sort(order, order == self._order and not self._reverse)

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        self._filter = event.value
        self.runs_changed(self.main.snapshot)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.query_one("#filter").set_class(bool(self._filter), "shown")
        self.table.focus()

    def key_escape(self) -> None:
        """Leave the filter, then take it away."""
        box = self.query_one("#filter", Input)
        if not box.has_focus:
            box.value = ""
        self._filter_done()

    def action_filter(self) -> None:
        """Ask for a filter; it works while it is typed."""
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        box.focus()

    def action_sort(self) -> None:
        """Sort by the next column."""
        orders = list(ORDERS)
        self._sort(orders[(orders.index(self._order) + 1) % len(orders)], False)

    def action_reverse(self) -> None:
        """Turn the order around."""
        self._sort(self._order, not self._reverse)

    @work
    async def action_columns(self) -> None:
        """Ask which columns are shown."""
        titles = {order: SPELLED_OUT.get(order, column.title) for order, column in COLUMNS.items()}
        choosable = {order: titles[order] for order in CHOOSABLE}
        hidden = await self.app.push_screen_wait(Columns(choosable, self.main.preferences.hidden))
        if hidden is not None:
            self.main.prefer(hidden=hidden)
            self.runs_changed(self.main.snapshot)

    def action_open(self) -> None:
        """Open the run under the cursor."""
        self.table.action_select()

    def action_mark(self) -> None:
        """Mark the run under the cursor and go on to the next."""
        if (suite := self.suite) is not None:
            keys = [entry.key for entry in suite.entries if not entry.record.twin_of]
            wanted = any(key not in self.main.marks for key in keys)
            for key in keys:
                if (key in self.main.marks) != wanted:
                    self.main.toggle_mark(key)
        elif self.entry is not None:
            self.main.toggle_mark(self.entry.key)
        elif self.key is not None:
            self.warn(f"{self.key} was not started yet, so there is nothing to mark")
        self.table.action_move(1)

    def action_baseline(self) -> None:
        """Make the run under the cursor a baseline."""
        if self.entry is not None:
            self.main.toggle_baseline(self.entry.key)
        elif self.key is not None:
            self.warn("a baseline is one run: open the suite with enter and choose a run of it")

    async def stop_suite(self, suite: SuiteEntry) -> None:
        """Ask the runs of a suite to stop."""
        await self.attempt(lambda: stop(suite), f"{suite.folder.name} stops after a checkpoint")

    async def resume_suite(self, suite: SuiteEntry) -> None:
        """Go on with a suite."""
        said = f"{suite.folder.name} continues in a process of its own"
        await self.attempt(lambda: resume(suite, self.main.launcher), said)

    async def delete_suite(self, suite: SuiteEntry) -> None:
        """Delete a suite and its runs, after a question."""
        question = Confirm(f"Delete {suite.folder} and its {len(suite.entries)} runs?", "Delete")
        if await self.app.push_screen_wait(question):
            await self.attempt(lambda: remove(suite), f"{suite.folder.name} is deleted")

    def action_unmark(self) -> None:
        """Take all marks away."""
        self.main.marks, self.main.baselines = [], []
        self.runs_changed(self.main.snapshot)

    async def action_compare(self) -> None:
        """Compare what is marked."""
        await self.main.action_mode("compare")

    @work
    async def action_launch(self) -> None:
        """Start a new run; the first one can be started at once."""
        while not self.main.snapshot.version:  # whether there is a run yet is known in a moment
            await asyncio.sleep(0.02)
        snapshot, runs_dir = self.main.snapshot, self.main.store.runs_dir
        if not snapshot.entries and not snapshot.suites:
            chosen = await self.app.push_screen_wait(Pick("Start a first run", list(FIRST.items()), FIRST_RECIPE))
            if chosen == FIRST_RECIPE:
                arguments = ["run", FIRST_RECIPE, "--runs-dir", str(runs_dir)]
                said = f"{FIRST_RECIPE} starts in a process of its own; it appears here in a moment"
                await self.attempt(lambda: self.main.launcher.start(arguments, FIRST_RECIPE), said)
            if chosen is None or chosen == FIRST_RECIPE:
                return
        await self.main.action_mode("launch")


def _suite_title(suite: SuiteEntry, sign: str) -> str:
    """Return a suite's name behind a sign, and how far it is."""
    return f"{sign} {suite.folder.name}: {suite.progress}"

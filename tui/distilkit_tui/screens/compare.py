"""Compares the marked runs: is the difference real, on which queries, at which cost, and what was done differently?"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static, TabbedContent, TabPane

from distilkit.comparison import wording
from distilkit.comparison.compare import with_margin
from distilkit.comparison.result import ComparisonResult
from distilkit.errors import UserError
from distilkit_tui.core.comparing import Question, Reading, answer, read
from distilkit_tui.core.entry import Entry, ordered
from distilkit_tui.core.store import Snapshot
from distilkit_tui.core.text import safe
from distilkit_tui.keys import bindings
from distilkit_tui.screens.base import BaseScreen
from distilkit_tui.screens.compare_answer import AnswerPane
from distilkit_tui.screens.compare_budget import BudgetPane
from distilkit_tui.screens.compare_curves import ConfigurationPane, CurvesPane
from distilkit_tui.screens.compare_frontier import FrontierPane
from distilkit_tui.screens.compare_means import MeansPane
from distilkit_tui.screens.compare_queries import QueriesPane, Rankings
from distilkit_tui.screens.compare_view import ComparisonView, Pane
from distilkit_tui.screens.dialogs import Ask
from distilkit_tui.screens.export import ExportDialog
from distilkit_tui.widgets.table import VirtualTable

TABS: dict[str, Callable[[], Pane]] = {
    "answer": AnswerPane,
    "means": MeansPane,
    "budget": BudgetPane,
    "queries": QueriesPane,
    "frontier": FrontierPane,
    "curves": CurvesPane,
    "configuration": ConfigurationPane,
}


class CompareScreen(BaseScreen):
    """The marked runs, with what they bring along, against one or more baselines."""

    MODE = "compare"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]

    def __init__(self) -> None:
        super().__init__()
        self._question = Question()
        self._reading: Reading | None = None
        self._view: ComparisonView | None = None
        self._problem = ""
        # What the runs were when they were compared last, the marks that the question's baselines are from, and
        # whether an answer is awaited.
        self._asked: object = None
        self._based_on: tuple[str, ...] | None = None
        self._waiting = False
        # The baselines that were asked for last, of which those that are not systems of the comparison are left out.
        self._asked_baselines: tuple[str, ...] = ()

    def body(self) -> ComposeResult:
        """What is asked, and the tabs."""
        yield Static("", id="asked", markup=False)
        with TabbedContent(initial="answer"):
            for name, make in TABS.items():
                with TabPane(name.capitalize(), id=name):
                    yield make()

    def on_mount(self) -> None:
        """Give the keys to the answer."""
        self.query_one(AnswerPane).table.focus()

    @property
    def tab(self) -> str:
        """The tab in sight."""
        return self.query_one(TabbedContent).active

    @property
    def pane(self) -> Pane:
        """What is in it."""
        return self.query_one(f"TabPane#{self.tab}").query_one(Pane)

    @property
    def result(self) -> ComparisonResult | None:
        """The comparison, None before the first."""
        return self._view.result if self._view is not None else None

    @property
    def entries(self) -> list[Entry]:
        """The runs compared: the marked ones; without a mark the latest that is finished."""
        known = self.main.snapshot.entries
        marked = [known[key] for key in self.main.marks if key in known]
        done = [entry for entry in known.values() if entry.state == "done" and not entry.record.twin_of]
        return marked or ordered(done, "started")[:1]

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Compare anew where marks or results have changed, and let curves grow."""
        asked = [(entry.key, entry.state, tuple(entry.measures.items())) for entry in self.entries]
        asked_of = (asked, tuple(self.main.baselines))
        if asked_of != self._asked:
            self._asked = asked_of
            self._reading = None
            self._ask(self._question)
        else:
            self.pane.show(self.entries)

    def _ask(self, question: Question) -> None:
        """Have a question answered; an older one that is not answered yet is dropped."""
        self._question, self._waiting = question, True
        self._answer()
        self._tell()
        self.pane.show(self.entries)

    @work(exclusive=True, group="compare", exit_on_error=False)
    async def _answer(self) -> None:
        """Read and compare the runs in a thread, and show what it comes to."""
        keys, baselines, question = [entry.key for entry in self.entries], tuple(self.main.baselines), self._question
        try:
            if self._reading is None:
                self._reading = await asyncio.to_thread(read, keys, self.main.store.runs_dir)
            if baselines != self._based_on:
                names = self._reading.names
                chosen = tuple(dict.fromkeys(names[key] for key in baselines if key in names))
                question = replace(question, baselines=chosen)
            self._asked_baselines = question.baselines
            result = await asyncio.to_thread(answer, self._reading, question)
        except (UserError, OSError) as error:
            self._problem, self._view = str(error), None
        else:
            self._problem, self._based_on = "", baselines
            self._question = replace(question, baselines=result.baselines)
            if self._view is None:
                self._view = ComparisonView(result)
            else:
                self._view = replace(self._view, result=result)
        self._waiting = False
        self._show()

    def _show(self) -> None:
        """Show the tab in sight."""
        self._tell()
        if self._view is not None:
            self.pane.look(self._view)
        self.pane.show(self.entries)

    def _tell(self) -> None:
        """Write what is asked, of which runs, and what was left out or went wrong."""
        entries, view = self.entries, self._view
        line = Text()
        if self._problem:
            style = self.app.theme_variables["error"]
            line.append(f"✗ {safe(self._problem)}\n", style=style)
            line.append("mark runs with space and baselines with b on screen 1", style="dim")
        elif not entries:
            line.append("no finished run to compare yet; mark runs with space on screen 1")
        else:
            count = f"{len(entries)} runs" if len(entries) > 1 else safe(entries[0].key)
            line.append(count if self.main.marks else f"nothing is marked; the latest finished run: {count}", "bold")
            line.append(safe(f" · {self._choices(view)}"))
            for said in self._left_out():
                line.append(safe(f" · {said}"), self.app.theme_variables["warning"])
        self.query_one("#asked", Static).update(line)

    def _left_out(self) -> list[str]:
        """Return what was asked for and is not in the comparison: runs without results, and baselines."""
        if self._reading is None or self._view is None:
            return []
        missing = self._reading.left_out
        said = [f"no results yet: {_listed(missing)}"] if missing else []
        asked = [self._reading.names.get(key, key) for key in self.main.baselines]
        used, known = self._view.result.baselines, self._view.result.names
        ignored = [name for name in dict.fromkeys([*asked, *self._asked_baselines]) if name not in known]
        if ignored:
            instead = ", ".join(self._view.names[name] for name in used)
            said.append(f"no results of the baseline {_listed(ignored)}, so against {instead}")
        return said

    def _choices(self, view: ComparisonView | None) -> str:
        if view is None:
            return "comparing …"
        result = view.result
        family = f"{wording.correction_name(result)} over {result.family}"
        against = (
            "all pairs"
            if result.pairs == "all"
            else f"against {', '.join(result.short[name] for name in result.baselines)}"
        )
        both = ", equivalence too" if result.equivalence else ""
        kind = "relative" if result.margin_kind == "relative" else "absolute"
        return f"{against} · {wording.test_name(result)} · {family} · margin {wording.amount(result)} {kind}{both}"

    def _look(self, view: ComparisonView) -> None:
        """Look at something else in the same answer."""
        self._view = view
        self._show()

    @on(TabbedContent.TabActivated)
    def _tab_shown(self) -> None:
        self._show()
        for table in self.pane.query(VirtualTable).results():
            table.focus()
            break

    @on(Pane.Chosen)
    def _chosen(self, event: Pane.Chosen) -> None:
        if self._view is not None and event.name != self._view.system:
            self._view = replace(self._view, chosen=event.name)

    @on(Pane.Opened)
    def _opened(self, event: Pane.Opened) -> None:
        if self._view is None:
            return
        if self.tab in ("answer", "means"):
            self._view = replace(self._view, chosen=event.name)
            self.query_one(TabbedContent).active = "queries"
        elif isinstance(pane := self.pane, QueriesPane):
            self.app.push_screen(Rankings(self._view, pane.queries, event.name))

    def action_tab(self, by: int) -> None:
        """Show the next tab."""
        names = list(TABS)
        self.query_one(TabbedContent).active = names[(names.index(self.tab) + by) % len(names)]

    def action_pane(self, action: str) -> None:
        """Do what a key means on the tab in sight, if it means anything there."""
        act: Callable[[], None] = getattr(self.pane, f"action_{action}", lambda: None)
        act()

    def action_open(self) -> None:
        """Open what is under the cursor."""
        for table in self.pane.query(VirtualTable).results():
            table.action_select()
            break

    def action_baseline(self) -> None:
        """Make the system that is looked at a baseline, or none any more; one baseline stays."""
        if self._view is None:
            return
        name, named = self._view.system, list(self._question.baselines)
        if self.tab in ("answer", "means") and (key := self.pane.table.cursor_key):
            name = key
        named.remove(name) if name in named else named.append(name)
        if named:
            self._ask(replace(self._question, baselines=tuple(named), pairs="baseline"))

    def action_against(self) -> None:
        """Look against the next baseline."""
        if self._view is not None:
            self._look(replace(self._view, baseline_number=self._view.baseline_number + 1))

    def action_all_pairs(self) -> None:
        """Compare all with all, or with the baselines alone."""
        if self._question.pairs == "all":
            self._based_on = None  # the marked baselines again
            self._ask(replace(self._question, pairs="baseline", baselines=()))
        else:
            self._ask(replace(self._question, pairs="all"))

    def action_measure(self) -> None:
        """Show the next measure."""
        if isinstance(pane := self.pane, CurvesPane):
            pane.action_measure()
        elif self._view is not None:
            self._look(replace(self._view, column_number=self._view.column_number + 1))

    def action_system(self, by: int) -> None:
        """Look at the next system."""
        if self._view is not None:
            self._look(self._view.step(by))

    def action_margin(self, by: int) -> None:
        """Change the margin; what depends on it changes at once."""
        self._margin(self._question.wider(by))

    def action_margin_kind(self) -> None:
        """Take the margin as a share of the baseline, or as it is."""
        self._margin(self._question.other_kind())

    @work
    async def action_type_margin(self) -> None:
        """Ask for the margin."""

        def problem(text: str) -> str:
            try:
                self._question.with_margin(text)
            except UserError as error:
                return str(error)
            return ""

        relative = self._question.margin_kind == "relative"
        now = f"{100 * self._question.margin:g} %" if relative else f"{self._question.margin:g}"
        text = await self.app.push_screen_wait(Ask("Margin of non-inferiority", now, problem))
        if text is not None:
            self._margin(self._question.with_margin(text))

    def _margin(self, question: Question) -> None:
        """Take another margin, without a new comparison where there is one already."""
        if self._view is None or self._waiting:
            self._ask(question)
        else:
            self._question = question
            found = with_margin(self._view.result, question.margin, question.margin_kind)
            self._look(replace(self._view, result=found))

    def action_equivalence(self) -> None:
        """Test equivalence, too."""
        self._ask(replace(self._question, equivalence=not self._question.equivalence))

    def action_test(self) -> None:
        """Take the next test."""
        self._ask(self._question.next_test())

    def action_correction(self) -> None:
        """Take the next correction."""
        self._ask(self._question.next_correction())

    @work
    async def action_export(self) -> None:
        """Write the comparison to a file."""
        if self._view is None:
            self.warn("there is no comparison to write yet")
            return
        path = await self.app.push_screen_wait(ExportDialog(self._view.result, Path.cwd()))
        if path is not None:
            self.app.notify(str(path), title="written", markup=False)

    def action_copy(self) -> None:
        """Copy the command line that prints the same."""
        if self._reading is not None:
            self.copy(self._question.command(self._reading.runs, self.main.store.runs_dir))

    async def action_back(self) -> None:
        """Go back to the answer, then to all runs."""
        tabs = self.query_one(TabbedContent)
        if tabs.active != "answer":
            tabs.active = "answer"
        else:
            await self.main.action_mode("runs")


def _listed(names: Sequence[str]) -> str:
    """Return names in a line, of which more than three are counted."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

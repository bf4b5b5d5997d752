"""What screens share: the lines at top and bottom, news of the runs, the keys of a run and of its curves."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events, work
from textual.app import ComposeResult
from textual.containers import Container
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Footer

from distilkit.errors import UserError
from distilkit_tui.core.control import delete, kill, request_stop
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.store import Snapshot
from distilkit_tui.core.suites import SuiteEntry
from distilkit_tui.core.text import safe, short
from distilkit_tui.plots import Shown, View, single_loss_plot, validation_plot
from distilkit_tui.screens.dialogs import Confirm
from distilkit_tui.widgets.chart import Chart

if TYPE_CHECKING:
    from distilkit_tui.app import DistilkitApp

TITLES = {"runs": "Runs", "run": "Run", "launch": "Launch", "compare": "Compare"}


def app_of(node: DOMNode) -> "DistilkitApp":
    """Return the application, with what the screens share: runs, marks, baselines, the run that is looked at."""
    return cast("DistilkitApp", node.app)


class TopBar(Widget, can_focus=False):
    """The line at the top: the screens by their keys, the shown one in brackets, how many runs go on, back and help.

    A click on a screen, on back or on help does what their keys do.
    """

    DEFAULT_CSS = """
    TopBar { dock: top; height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode
        self._facts = self._place = ""
        # Where what can be clicked ends, and the action of each, from left to right.
        self._spans: list[tuple[int, int, str]] = []

    def tell(self, facts: str, place: str) -> None:
        """Show how many runs go on, and where they lie as far as there is room for it."""
        if (facts, place) != (self._facts, self._place):
            self._facts, self._place = facts, place
            self.refresh()

    def render(self) -> Text:
        """Return the line."""
        line = Text(" distilkit ", style="bold", no_wrap=True, overflow="ellipsis")
        self._spans = []

        def place(text: str, action: str, style: str = "") -> None:
            start = line.cell_len
            line.append(text, style)
            self._spans.append((start, line.cell_len, action))

        for number, (mode, title) in enumerate(TITLES.items(), 1):
            here = mode == self._mode
            text, style = (f"[{number} {title}]", "bold reverse") if here else (f" {number} {title} ", "")
            place(text, f"app.mode('{mode}')", style)
        ends = [(" ‹ back ", "screen.back")] if self._mode != "runs" else []
        ends += [(" ? help ", "app.help")]
        room = self.size.width - line.cell_len - sum(len(text) for text, _ in ends) - 1
        where = room - len(self._facts) - len(" · ")
        whole = f"{self._facts} · {short(safe(self._place), where)}" if where > 3 else self._facts
        facts = whole if len(whole) <= room else ""
        line.append(f"{facts.rjust(room)} " if room > 0 else "")
        for text, action in ends:
            place(text, action)
        return line

    async def on_click(self, event: events.Click) -> None:
        """Do what is written under the pointer."""
        event.stop()
        for start, end, action in self._spans:
            if start <= event.x < end:
                await self.run_action(action)


class BaseScreen(Screen[None]):
    """A screen of a mode. Give `MODE`, the widgets in `body`, and what to do with news in `runs_changed`."""

    MODE: ClassVar[str] = ""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012

    @property
    def main(self) -> "DistilkitApp":
        """The application."""
        return app_of(self)

    def compose(self) -> ComposeResult:
        """Put the body between the two lines."""
        yield TopBar(self.MODE)
        yield from self.body()
        yield Footer(show_command_palette=False, compact=True)

    def body(self) -> ComposeResult:
        """Yield what stands between the lines."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was shown."""
        self.news(self.main.snapshot)

    def news(self, snapshot: Snapshot) -> None:
        """Take in the runs as they are now; called for the screen in sight alone, in the application's thread."""
        live, runs = snapshot.live, len(snapshot.entries)
        paused = "paused · " if self.main.paused else ""
        self.query_one(TopBar).tell(f"{paused}{live} live of {runs}", str(self.main.store.runs_dir))
        self.runs_changed(snapshot)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the runs as they are now."""

    def warn(self, text: str) -> None:
        """Say why something is not done."""
        self.app.notify(text, severity="warning", markup=False)

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard, and say so."""
        self.app.copy_to_clipboard(text)
        self.app.notify(text, title="copied", markup=False)


class CurveActions:
    """Changes how curves are shown: measure, smoothing and axes."""

    view: View = View()

    def draw(self) -> None:
        """Draw the curves as `view` says."""
        raise NotImplementedError

    def _look(self, view: View) -> None:
        self.view = view
        self.draw()

    def action_measure(self) -> None:
        """Show the next measure."""
        self._look(replace(self.view, measure=self.view.measure + 1))

    def action_smooth(self) -> None:
        """Smooth more, or not at all."""
        self._look(replace(self.view, window=self.view.smoother()))

    def action_log_y(self) -> None:
        """Change between an even and a logarithmic axis of losses."""
        self._look(replace(self.view, log_y=not self.view.log_y))

    def action_axis(self) -> None:
        """Change between steps and time."""
        self._look(replace(self.view, by_time=not self.view.by_time))


class RunCurves(Container):
    """Loss and validation of several runs, in one chart each."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Two charts."""
        yield Chart(id="loss")
        yield Chart(id="validation")

    def draw(self, names: Mapping[str, str], view: View, first: str) -> None:
        """Draw runs by key under the names given, where they have changed; `first` is the measure to begin with."""
        main = app_of(self)
        main.store.watch(names)
        colours = main.colours(names)
        shown = [Shown(name, main.store.history(key), colours[key]) for key, name in names.items()]
        drawn = (view, [(run.name, run.history.version, run.colour) for run in shown])
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self.query_one("#loss", Chart).show(single_loss_plot(shown, view))
        self.query_one("#validation", Chart).show(validation_plot(shown, view, first))


class RunActions(CurveActions, BaseScreen):
    """A screen about the run of `key`, with what can be done with it: stop, resume, delete, copy its name."""

    @property
    def key(self) -> str | None:
        """The run that this screen is about."""
        raise NotImplementedError

    @property
    def entry(self) -> Entry | None:
        """That run as it is now."""
        return self.main.snapshot.entries.get(self.key) if self.key is not None else None

    @property
    def suite(self) -> SuiteEntry | None:
        """The suite that the screen is about, where it is about one."""
        return None

    async def stop_suite(self, suite: SuiteEntry) -> None:
        """Ask the runs of a suite to stop."""

    async def resume_suite(self, suite: SuiteEntry) -> None:
        """Go on with a suite."""

    async def delete_suite(self, suite: SuiteEntry) -> None:
        """Delete a suite and its runs."""

    def action_copy(self) -> None:
        """Copy the run's name."""
        if self.key is not None:
            self.copy(self.key)

    @work
    async def action_stop(self) -> None:
        """Ask the run to stop; asked again, kill it after a question."""
        if (suite := self.suite) is not None:
            await self.stop_suite(suite)
            return
        entry = self.entry
        if entry is None:
            return
        if not entry.live:
            self.warn(f"{entry.key} is {entry.state}; there is nothing to stop")
        elif entry.key not in self.main.stopping:
            twin = self.main.snapshot.entries.get(str(entry.record.twin))
            if await self.attempt(lambda: request_stop(entry, twin), f"{entry.key} stops after a checkpoint"):
                self.main.stopping.add(entry.key)
        elif await self.app.push_screen_wait(
            Confirm(
                f"{entry.key} has been asked to stop. Kill it now, and lose what it did since its last checkpoint?",
                "Kill",
            )
        ):
            await self.attempt(lambda: kill(entry))

    @work
    async def action_resume(self) -> None:
        """Go on with the run."""
        if (suite := self.suite) is not None:
            await self.resume_suite(suite)
            return
        if (entry := self.entry) is not None:
            said = f"{entry.key} continues in a process of its own"
            await self.attempt(lambda: self.main.launcher.resume(entry), said)

    @work
    async def action_delete(self) -> None:
        """Delete the run's folder, after a question."""
        if (suite := self.suite) is not None:
            await self.delete_suite(suite)
            return
        entry = self.entry
        if entry is None:
            return
        if entry.live:
            self.warn(f"{entry.key} is {entry.state}; stop it first")
            return
        question = Confirm(f"Delete {entry.folder.path} and all that is in it?", "Delete")
        if await self.app.push_screen_wait(question):
            await self.attempt(lambda: delete(entry.folder), f"{entry.key} is deleted")

    async def attempt(self, act: Callable[[], object], said: str = "") -> bool:
        """Do something in a thread, since a disk may be slow, and say that it is done, or why it is refused."""
        try:
            await asyncio.to_thread(act)
        except UserError as error:
            self.warn(str(error))
            return False
        if said:
            self.app.notify(said, markup=False)
        self.main.store.hurry()
        return True

"""One run: its curves as they grow, how far it is, its log, configuration, checkpoints and alerts."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.widgets import Static, TabbedContent, TabPane

from distilkit.tables import size
from distilkit_tui.core import facts
from distilkit_tui.core.control import memory
from distilkit_tui.core.entry import STATES, Entry, ordered
from distilkit_tui.core.progress import (
    examples_per_step,
    headline,
    of_teacher,
    parts,
    progress_line,
    whole_run,
    work_under_way,
)
from distilkit_tui.core.store import Snapshot
from distilkit_tui.core.suites import title
from distilkit_tui.core.text import duration, figure, rate, safe, short
from distilkit_tui.keys import bindings
from distilkit_tui.plots import Shown, learning_rate_plot, loss_plot, speed_plot, validation_plot
from distilkit_tui.screens.base import RunActions
from distilkit_tui.widgets.chart import Chart
from distilkit_tui.widgets.log_view import LogView
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

LISTS = {
    "configuration": (Column("key", 22, grow=1), Column("value", 20, grow=3), Column("set by", 7)),
    "results": (Column("set · system", 20, grow=1), Column("measures", 30, grow=2), Column("cost", 12, grow=1, rank=1)),
    "checkpoints": (Column("checkpoint", 30, grow=2), Column("size", 10), Column("", 20)),
    "alerts": (Column("what", 14, grow=1), Column("", 30, grow=5), Column("when", 20, rank=1)),
}
# How many lines the cause of a crash may take.
CAUSE_LINES = 3
# What z goes through: both, curves alone, details alone. A narrow screen has no room for both.
ZOOMS = ("", "curves-only", "details-only")


class RunScreen(RunActions):
    """The run that the application looks at."""

    MODE = "run"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("run")]

    def __init__(self) -> None:
        super().__init__()
        self._stage, self._zoom = -1, 0
        self._drawn: object = None
        self._listed: object = None

    def body(self) -> ComposeResult:
        """Facts, curves, lists."""
        yield Static("", id="head", markup=False)
        with Container(id="curves"):
            for name in ("loss", "validation", "learning-rate", "speed"):
                yield Chart(id=name)
        with TabbedContent(id="details", initial="log"):
            with TabPane("Log", id="log"):
                yield LogView()
            for name, columns in LISTS.items():
                with TabPane(name.capitalize(), id=name):
                    yield VirtualTable(columns, id=f"{name}-list")

    def on_mount(self) -> None:
        """Give the keys to the log, and let silence grow while nothing else does."""
        self.query_one(LogView).focus()
        self.set_interval(1.0, self._tick)

    @property
    def key(self) -> str | None:
        """The run: the one that was opened, else the latest."""
        entries = self.main.snapshot.entries
        if self.main.current not in entries and entries:
            live = [entry for entry in entries.values() if entry.live]
            self.main.current = ordered(live or entries.values(), "started")[0].key
        return self.main.current if self.main.current in entries else None

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Show the run as it is now."""
        entry = self.entry
        if entry is None:
            text = snapshot.problem or "no runs yet; press 3 to start one"
            self.query_one("#head", Static).update(safe(text))
            return
        self.main.store.watch([entry.key], log=entry.key)
        self.draw()
        self._tell(entry)
        self.query_one(LogView).show(self.main.store.log(entry.key))
        self._list(entry)

    def _tick(self) -> None:
        entry = self.entry
        if entry is not None and entry.live and self.main.screen is self and not self.main.paused:
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        """Write the lines above the curves."""
        width = max(self.size.width - 2, 20)
        glyph, colour = STATES.get(entry.state, ("·", "foreground"))
        style = self.app.theme_variables.get(colour, "")
        twin = self.main.snapshot.entries.get(str(entry.record.twin))
        found = parts(entry, twin)
        stopping = ", stopping" if entry.key in self.main.stopping and entry.live else ""
        marked = "◆ " if entry.key in self.main.baselines else "● " if entry.key in self.main.marks else ""
        head = Text(no_wrap=True, overflow="ellipsis")
        head.append(f"{glyph} {entry.state}{stopping}", style=f"bold {style}")
        head.append(
            f"  {marked}{short(safe(title(entry.key, self.main.snapshot.suites)), max(width // 2, 12))}", style="bold"
        )
        about = [entry.strategy, entry.student, f"seed {entry.record.raw.get('seed', '?')}"]
        head.append("  " + safe(" · ".join(text for text in about if text)))
        lines = [head, *self._headline(entry, headline(entry, found), width), Text(safe(progress_line(found)))]
        lines.append(Text(safe(" · ".join(self._figures(entry)))))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        self.query_one("#head", Static).update(Text("\n").join(lines))

    def _headline(self, entry: Entry, title: str, width: int) -> list[Text]:
        """Return what matters most: how to go on with a run that does not, and why it does not; else its work."""
        colour = STATES.get(entry.state, ("·", "foreground"))[1]
        if (trouble := facts.trouble_of(entry)) is not None:
            line = Text(safe(trouble.remedy), style=f"bold {self.app.theme_variables.get(colour, '')}")
            return [*line.wrap(self.app.console, width), *self._cause(trouble.cause, width)]
        if said := facts.waiting(entry, self.main.snapshot.entries.values()):
            return [Text(safe(said), style=f"bold {self.app.theme_variables['accent']}")]
        return [self._bar(entry, title)]

    def _cause(self, cause: str, width: int) -> list[Text]:
        """Return why a run does not go on, in as many lines as there is room for."""
        lines = Text(f"Why: {safe(cause)}").wrap(self.app.console, width)
        return list(lines[:CAUSE_LINES])

    def _bar(self, entry: Entry, title: str) -> Text:
        """Return the work under way: what, a bar, how many of how many, how fast, how long."""
        line = Text(safe(title), style="bold")
        work = work_under_way(entry)
        if entry.state == "done" or work is None:
            return line
        if not title.endswith(work.name):
            line.append(f" · {safe(work.name)}")
        filled = max(0, min(20, round(20 * work.done / work.total)))
        line.append("  " + "━" * filled, style=self.app.theme_variables["primary"])
        line.append("╌" * (20 - filled) + f" {work.done:.0f}/{work.total:.0f}")
        if entry.live and work.left is not None:
            line.append(f" · {rate(work.rate)} · {duration(work.left)} left")
        return line

    def _figures(self, entry: Entry) -> list[str]:
        whole = whole_run(entry) if entry.live else None
        found = [f"whole run {whole[0]:.0%}, {duration(whole[1])} left"] if whole else []
        found += [f"loss {figure(entry.loss)}"] if entry.loss is not None else []
        validation = entry.validation.get(entry.measure)
        found += [f"validation {entry.measure} {validation:.4f}"] if validation is not None else []
        test = entry.measures.get(entry.measure)
        found += [f"test {entry.measure} {test:.4f}"] if test is not None else []
        if entry.live:
            held = memory(entry)
            if held:
                now, most = size(held["now"]), size(held["most"])
                found.append(f"memory {now}" if now == most else f"memory {now} (peak {most})")
            found += [f"pid {entry.status.pid}"]
            silent = facts.silence(entry)
            found += [f"heartbeat {duration(silent)} ago"] if silent is not None else []
        return found

    def draw(self) -> None:
        """Draw the curves, where they have changed."""
        entry, view, stage = self.entry, self.view, self._stage
        if entry is None:
            return
        history = self.main.store.history(entry.key)
        drawn = (entry.key, history.version, view, stage)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        with history.lock:
            roles = of_teacher(entry, history.stages)
            teacher = roles[stage] if -len(roles) <= stage < len(roles) else False
            plots = {
                "loss": loss_plot(history, stage, view, "teacher: " if teacher else ""),
                "learning-rate": learning_rate_plot(history, stage, view),
                "speed": speed_plot(history, stage, examples_per_step(entry, teacher), view),
            }
        plots["validation"] = validation_plot([Shown(entry.key, history, 1)], view, entry.measure, stage)
        for chart, plot in plots.items():
            self.query_one(f"#{chart}", Chart).show(plot)

    def _list(self, entry: Entry) -> None:
        """Fill the list in sight, and count the alerts."""
        history = self.main.store.history(entry.key)
        alerts = facts.alerts(entry, history, entry.key in self.main.stopping)
        tabs = self.query_one("#details", TabbedContent)
        tabs.get_tab("alerts").label = f"Alerts ({len(alerts)})" if alerts else "Alerts"
        name = tabs.active
        now = (name, entry, history.version, entry.key in self.main.stopping)
        if name not in LISTS or self._listed == now:
            return
        self._listed = now
        makers = {
            "configuration": lambda: facts.configuration(entry),
            "results": lambda: facts.results(entry),
            "checkpoints": lambda: facts.checkpoints(entry, history),
            "alerts": lambda: alerts,
        }
        rows = {f"{number} {row.name}": row for number, row in enumerate(makers[name]())}
        colour = "error" if name == "alerts" else ""

        def cells(key: str) -> list[Cell]:
            return [Styled(rows[key].name, colour, bold=bool(colour)), rows[key].text, rows[key].more]

        nothing = "none" if name == "alerts" else "nothing yet"
        self.query_one(f"#{name}-list", VirtualTable).show(list(rows), cells, nothing)

    @on(TabbedContent.TabActivated)
    def _tab_shown(self) -> None:
        if (entry := self.entry) is not None:
            self._list(entry)

    async def action_back(self) -> None:
        """Go back to all runs."""
        await self.main.action_mode("runs")

    def action_previous(self) -> None:
        """Show the run before."""
        self._step(-1)

    def action_next(self) -> None:
        """Show the next run."""
        self._step(1)

    def _step(self, by: int) -> None:
        keys = [entry.key for entry in ordered(self.main.snapshot.entries.values(), "started")]
        if self.key in keys:
            self.main.current = keys[(keys.index(self.key) + by) % len(keys)]
            self._stage = -1
            self.news(self.main.snapshot)

    def action_log(self) -> None:
        """Show the log."""
        self.query_one("#details", TabbedContent).active = "log"
        if not self.query_one("#details").display or self.has_class("-narrow"):
            self._set_zoom(2 if self.has_class("-narrow") else 0)
        self.query_one(LogView).focus()

    def action_follow(self) -> None:
        """Follow the end of the log."""
        self.action_log()
        self.query_one(LogView).action_follow()

    def action_zoom(self) -> None:
        """Show curves and details, or one of them alone."""
        if self.has_class("-narrow"):
            self._set_zoom(0 if self._zoom == 2 else 2)
        else:
            self._set_zoom((self._zoom + 1) % len(ZOOMS))

    def _set_zoom(self, zoom: int) -> None:
        self._zoom = zoom
        for number, name in enumerate(ZOOMS):
            if name:
                self.set_class(number == zoom, name)

    def action_stage(self) -> None:
        """Show the curves of the next stage."""
        if self.key is None:
            return
        count = len(self.main.store.history(self.key).stages)
        self._stage = (self._stage + 1) % count if count and self._stage >= 0 else 0
        self.draw()

    def action_mark(self) -> None:
        """Mark the run."""
        if self.key is not None:
            self.main.toggle_mark(self.key)

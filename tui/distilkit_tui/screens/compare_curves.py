"""The tabs of curves and of configurations: the marked runs while they were trained, and how they were set up."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from distilkit.comparison.names import labels
from distilkit_tui.core.changed import side_by_side
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.text import safe, short
from distilkit_tui.plots import Shown, View, single_loss_plot, validation_plot
from distilkit_tui.screens.compare_view import Pane
from distilkit_tui.screens.compare_view import View as Comparison
from distilkit_tui.widgets.chart import Chart
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

if TYPE_CHECKING:
    from distilkit_tui.app import DistilkitApp

# The widest head of a run's column.
WIDTH = 22


class CurvesPane(Pane):
    """Loss and validation of all marked runs in one chart each."""

    DEFAULT_CSS = """
    CurvesPane Chart { height: 1fr; }
    CurvesPane Horizontal { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._view = View()
        self._entries: Sequence[Entry] = ()
        self._drawn: Any = None

    def compose(self) -> ComposeResult:
        """Two charts."""
        with Horizontal():
            yield Chart(id="losses")
        with Horizontal():
            yield Chart(id="validations")

    def look(self, view: Comparison) -> None:
        """Nothing here depends on the comparison."""

    def change(self, **changes: Any) -> None:
        """Show the curves in another way."""
        self._view = replace(self._view, **changes)
        self.show(self._entries)

    @property
    def view(self) -> View:
        """How the curves are shown."""
        return self._view

    def show(self, entries: Sequence[Entry]) -> None:
        """Draw the curves of runs, as far as they have come."""
        self._entries = entries
        main = cast("DistilkitApp", self.app)
        main.store.watch([entry.key for entry in entries])
        names = labels(entry.key for entry in entries)
        shown = [Shown(names[entry.key], main.store.history(entry.key), main.colour(entry.key)) for entry in entries]
        drawn = (self._view, [(run.name, run.history.version, run.colour) for run in shown])
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self.query_one("#losses", Chart).show(single_loss_plot(shown, self._view))
        first = entries[0].measure if entries else ""
        self.query_one("#validations", Chart).show(validation_plot(shown, self._view, first))


class ConfigurationPane(Pane):
    """A row per key, a column per run."""

    DEFAULT_CSS = """
    ConfigurationPane VirtualTable { height: 1fr; }
    ConfigurationPane Static { height: 1; padding: 0 1; color: $foreground-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.only_changed = True
        self._entries: Sequence[Entry] = ()

    def compose(self) -> ComposeResult:
        """What is shown, and the table."""
        yield Static("", markup=False)
        yield VirtualTable(empty="nothing differs")

    @property
    def table(self) -> VirtualTable:
        """The table of keys."""
        return self.query_one(VirtualTable)

    def look(self, view: Comparison) -> None:
        """Nothing here depends on the comparison."""

    def turn(self) -> None:
        """Show what differs, or all of it."""
        self.only_changed = not self.only_changed
        self.show(self._entries)

    def show(self, entries: Sequence[Entry]) -> None:
        """Show the configurations of runs."""
        self._entries = entries
        rows = side_by_side(entries, self.only_changed)
        every = len(side_by_side(entries, False))
        changed = self.only_changed and len(entries) > 1
        what = f"{len(rows)} of {every} keys differ (u: all)" if changed else f"all {every} keys (u: what differs)"
        self.query_one(Static).update(safe(what))
        names = labels(entry.key for entry in entries)
        # The first runs keep their columns where there is no room for all.
        self.table.columns = (
            Column("key", 24, grow=1),
            *(
                Column(short(safe(names[entry.key]), WIDTH), 14, grow=1, rank=max(1, 9 - place))
                for place, entry in enumerate(entries)
            ),
        )
        self.table.show(list(rows), lambda key: _row(key, rows[key]), "nothing differs" if entries else "no run")


def _row(key: str, values: Sequence[str]) -> list[Cell]:
    differs = len(set(values)) > 1
    return [Styled(key, "accent" if differs else ""), *values]

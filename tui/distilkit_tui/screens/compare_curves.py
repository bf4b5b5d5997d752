"""The tabs of curves and of configurations: the marked runs while they were trained, and how they were set up."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widgets import Static

from distilkit.run_folders.names import fitted, short_names
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.facts import side_by_side
from distilkit_tui.core.text import safe
from distilkit_tui.screens.base import CurveActions, RunCurves
from distilkit_tui.screens.compare_view import Pane
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# The widest head of a run's column.
WIDTH = 22


class CurvesPane(CurveActions, Pane):
    """Loss and validation of all marked runs in one chart each."""

    def __init__(self) -> None:
        super().__init__()
        self._entries: Sequence[Entry] = ()

    def compose(self) -> ComposeResult:
        """Two charts."""
        yield RunCurves()

    def show(self, entries: Sequence[Entry]) -> None:
        """Draw the curves of runs, as far as they have come."""
        self._entries = entries
        self.draw()

    def draw(self) -> None:
        """Draw the curves as `view` says."""
        names = short_names(entry.key for entry in self._entries)
        first = self._entries[0].measure if self._entries else ""
        self.query_one(RunCurves).draw({entry.key: names[entry.key] for entry in self._entries}, self.view, first)


class ConfigurationPane(Pane):
    """A row per key, a column per run."""

    def __init__(self) -> None:
        super().__init__()
        self._only_changed = True
        self._entries: Sequence[Entry] = ()

    def compose(self) -> ComposeResult:
        """What is shown, and the table."""
        yield Static("", markup=False)
        yield VirtualTable(empty="nothing differs")

    def action_only_changed(self) -> None:
        """Show all of the configurations, or what differs."""
        self._only_changed = not self._only_changed
        self.show(self._entries)

    def show(self, entries: Sequence[Entry]) -> None:
        """Show the configurations of runs."""
        self._entries = entries
        rows = side_by_side(entries, self._only_changed)
        every = len(side_by_side(entries, False))
        changed = self._only_changed and len(entries) > 1
        what = f"{len(rows)} of {every} keys differ (u: all)" if changed else f"all {every} keys (u: what differs)"
        self.query_one(Static).update(safe(what))
        short = short_names(entry.key for entry in entries)
        names = fitted([safe(short[entry.key]) for entry in entries], WIDTH)
        width = max([14, *map(cell_len, names.values())])
        # The first runs keep their columns where there is no room for all.
        self.table.columns = (
            Column("key", 24, grow=1),
            *(
                Column(names[safe(short[entry.key])], width, grow=1, rank=max(1, 9 - place))
                for place, entry in enumerate(entries)
            ),
        )

        def cells(key: str) -> list[Cell]:
            return [Styled(key, "accent" if len(set(rows[key])) > 1 else ""), *rows[key]]

        self.table.show(list(rows), cells, "nothing differs" if entries else "no run")

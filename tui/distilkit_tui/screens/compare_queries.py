"""The tab of queries: where the system wins and loses, and by how much."""

from typing import Any

import numpy as np
from textual import on, work
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import Static

from distilkit.errors import UserError
from distilkit_tui.core.differences import Difference, differences, query_texts
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_view import Pane, View
from distilkit_tui.widgets.chart import Chart
from distilkit_tui.widgets.plot import Curve, Plot
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# Points that a chart of bars is drawn with: two per cell of a wide screen.
POINTS = 600
WON, TIED, LOST = ("▲", "success"), ("=", "text-muted"), ("▼", "error")


class QueriesPane(Pane):
    """A waterfall of per-query differences, and the queries themselves."""

    DEFAULT_CSS = """
    QueriesPane {
        Chart { height: 2fr; min-height: 6; max-height: 14; }
        #count { height: 1; padding: 0 1; text-style: bold; }
        VirtualTable { height: 3fr; }
    }
    """

    class Texts(Message):
        """The queries' texts are there."""

        def __init__(self, about: Any, texts: dict[str, str]) -> None:
            super().__init__()
            self.about, self.texts = about, texts

    def __init__(self) -> None:
        super().__init__()
        self._shown: Any = None
        self._found: dict[str, Difference] = {}
        self._places: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self._read: Any = None

    def compose(self) -> ComposeResult:
        """Waterfall, count, queries."""
        yield Chart(Plot("per query", note="comparing …"))
        yield Static("", id="count", markup=False)
        yield VirtualTable(id="queries")

    @property
    def table(self) -> VirtualTable:
        """The table of queries."""
        return self.query_one(VirtualTable)

    @property
    def queries(self) -> list[str]:
        """The queries in their order."""
        return list(self._found)

    def look(self, view: View) -> None:
        """Show the differences of a system and a baseline."""
        about = (view.result.sources, view.column, view.pair)
        if self._shown is not None and about == self._shown:
            return
        self._shown = about
        found = differences(view.result, view.column, *view.pair)
        self._found = {one.query: one for one in found}
        self._places = {query: place for place, query in enumerate(self._found)}
        self._tell(view, found)
        self.table.columns = (
            Column("", 1), Column("query", 10, grow=1), Column("text", 16, grow=4),
            Column("system", 8, align="right", rank=2), Column("baseline", 8, align="right", rank=1),
            Column("Δ", 8, align="right"),
        )  # fmt: skip
        self._draw()
        self._fill()
        if self._read != (view.result.sources, view.column[0]):
            self._read, self._texts = (view.result.sources, view.column[0]), {}
            self._look_up(view, self._read)

    def _tell(self, view: View, found: list[Difference]) -> None:
        won, lost = sum(one.amount > 0 for one in found), sum(one.amount < 0 for one in found)
        system, baseline = (view.names[name] for name in view.pair)
        tied = len(found) - won - lost
        counts = f"{won} won ▲, {tied} tied =, {lost} lost ▼ of {len(found)}"
        self.query_one("#count", Static).update(safe(f"{counts}: {system} − {baseline} on {view.label}"))

    def _fill(self) -> None:
        self.table.show(list(self._found), self._cells, "no query was answered by both")

    def _cells(self, query: str) -> list[Cell]:
        one = self._found[query]
        sign = WON if one.amount > 0 else LOST if one.amount < 0 else TIED
        figures: list[Cell] = [f"{one.system:.4f}", f"{one.baseline:.4f}", Styled(f"{one.amount:+.4f}", sign[1])]
        return [Styled(*sign), query, self._texts.get(query, ""), *figures]

    def _draw(self) -> None:
        """Draw the waterfall, with a mark at the query under the cursor."""
        amounts = np.array([one.amount for one in self._found.values()])
        # A bar is as wide as its share of the chart, however few there are.
        wide = max(1, POINTS // max(1, len(amounts)))
        places = 0.5 + np.arange(len(amounts) * wide) / wide
        heights = np.repeat(amounts, wide)
        gains, losses = (np.where(keep, heights, np.nan) for keep in (heights > 0, heights < 0))
        curves = [Curve("won", places, gains, 2, "bars"), Curve("lost", places, losses, 5, "bars")]
        here = self._places.get(self.table.cursor_key or "")
        if here is not None:
            curves.append(Curve("here", np.array([here + 1.0]), amounts[here : here + 1], 3, "points", glyph="◆"))
        self.query_one(Chart).show(Plot("difference per query", tuple(curves), x_label="queries", note="no query"))

    @work(thread=True, group="texts", exit_on_error=False)
    def _look_up(self, view: View, about: Any) -> None:
        try:
            self.post_message(
                self.Texts(about, query_texts(view.result, view.column, list(self._found), view.runs_dir))
            )
        except UserError:
            return

    def on_queries_pane_texts(self, message: Texts) -> None:
        """Show the queries' texts."""
        if message.about == self._read:
            self._texts = message.texts
            self._fill()

    @on(VirtualTable.Highlighted)
    def _moved(self) -> None:
        self._draw()

    @on(VirtualTable.Selected)
    def _open(self, event: VirtualTable.Selected) -> None:
        self.post_message(self.Opened(event.key))

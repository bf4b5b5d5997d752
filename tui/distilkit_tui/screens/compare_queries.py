"""The tab of queries: where the system wins and loses, and by how much; and one query in depth."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import ClassVar

import numpy as np
from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from distilkit.errors import UserError
from distilkit_tui.core.queries import Hit, QueryDifference, QueryRanking, differences, query_texts, sides
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_view import ComparisonView, Pane
from distilkit_tui.widgets.chart import Chart
from distilkit_tui.widgets.plot import Curve, Plot
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# Points that a chart of bars is drawn with: two per cell of a wide screen.
POINTS = 600
WON, TIED, LOST = ("▲", "success"), ("=", "text-muted"), ("▼", "error")
QUERIES = (
    Column("", 1),
    Column("query", 10, grow=1),
    Column("text", 16, grow=4),
    Column("system", 8, align="right", rank=2),
    Column("baseline", 8, align="right", rank=1),
    Column("Δ", 8, align="right"),
)
# The widest that a document's id is shown.
LONGEST_ID = 24


class QueriesPane(Pane):
    """A waterfall of per-query differences, and the queries themselves."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: object = None
        self._read: object = None
        self._found: dict[str, QueryDifference] = {}
        self._texts: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Waterfall, counts, queries."""
        yield Chart(Plot("per query", note="comparing …"))
        yield Static("", id="count", markup=False)
        yield VirtualTable(QUERIES, id="queries")

    @property
    def queries(self) -> list[str]:
        """The queries in their order."""
        return list(self._found)

    def look(self, view: ComparisonView) -> None:
        """Show the differences of a system and a baseline."""
        about = (view.result.sources, view.column, view.pair)
        if about == self._shown:
            return
        self._shown = about
        found = differences(view.result, view.column, *view.pair)
        self._found = {one.query: one for one in found}
        won, lost = sum(one.amount > 0 for one in found), sum(one.amount < 0 for one in found)
        system, baseline = (view.names[name] for name in view.pair)
        counts = f"{won} won ▲, {len(found) - won - lost} tied =, {lost} lost ▼ of {len(found)}"
        self.query_one("#count", Static).update(safe(f"{counts}: {system} − {baseline} on {view.label}"))
        self._draw()
        self._fill()
        if self._read != (view.result.sources, view.column[0]):
            self._read, self._texts = (view.result.sources, view.column[0]), {}
            self._look_up(view)

    def _fill(self) -> None:
        self.table.show(self.queries, self._cells, "no query was answered by both")

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
        if (key := self.table.cursor_key) in self._found:
            here = self.queries.index(str(key))
            curves.append(Curve("here", np.array([here + 1.0]), amounts[here : here + 1], 3, "points", glyph="◆"))
        self.query_one(Chart).show(Plot("difference per query", tuple(curves), x_label="queries", note="no query"))

    @work(exclusive=True, group="texts", exit_on_error=False)
    async def _look_up(self, view: ComparisonView) -> None:
        """Read the queries' texts in a thread, and show them."""
        with suppress(UserError):
            about = (view.result, view.column, self.queries)
            self._texts = await asyncio.to_thread(query_texts, *about)
            self._fill()

    @on(VirtualTable.Highlighted)
    def _moved(self) -> None:
        self._draw()

    @on(VirtualTable.Selected)
    def _open(self, event: VirtualTable.Selected) -> None:
        self.post_message(self.Opened(event.key))


class Rankings(ModalScreen[None]):
    """The rankings of the system and the baseline for a query, and of the queries before and after it.

    They stand side by side, and where that leaves no room for the passages one above the other.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "back"),
        Binding("right_square_bracket,n", "step(1)", "next query"),
        Binding("left_square_bracket,N", "step(-1)", "query before"),
        Binding("tab,left,right", "other", "other list"),
    ]

    def __init__(self, view: ComparisonView, queries: Sequence[str], query: str) -> None:
        super().__init__()
        self._view, self._queries = view, list(queries)
        self._place = self._queries.index(query)
        self._hits: list[dict[str, Hit]] = [{}, {}]

    def compose(self) -> ComposeResult:
        """Query, two lists, the passage under the cursor."""
        with Vertical():
            yield Static("", id="query", markup=False)
            with Horizontal(id="lists"):
                for number in range(2):
                    with Vertical():
                        yield Static("", id=f"side-{number}", classes="side", markup=False)
                        yield VirtualTable((), "reading …", id=f"ranking-{number}")
            with VerticalScroll(id="passage", can_focus=False):
                yield Static("", id="text", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Read the rankings."""
        self._table(0).focus()
        self._read()

    def _table(self, number: int) -> VirtualTable:
        return self.query_one(f"#ranking-{number}", VirtualTable)

    @work(exclusive=True, group="rankings", exit_on_error=False)
    async def _read(self) -> None:
        """Read the rankings of the query in a thread, and show them, or why they cannot be read."""
        view, query = self._view, self._queries[self._place]
        head = Text(f"{self._place + 1} of {len(self._queries)}  {safe(query)}  ", style="bold")
        try:
            texts = await asyncio.to_thread(query_texts, view.result, view.column, [query])
            found = await asyncio.to_thread(sides, view.result, view.column, view.pair, query)
        except UserError as error:
            self.query_one("#query", Static).update(head)
            self._hits = [{}, {}]
            for number in range(2):
                self._table(number).show([], lambda key: [], "no ranking")
            self.query_one("#text", Static).update(Text(f"✗ {safe(error)}", style=self.app.theme_variables["error"]))
            return
        self.query_one("#query", Static).update(head.append(safe(texts.get(query, "")), style="not bold"))
        for number, side in enumerate(found):
            self._fill(number, side)
        self._tell()

    def _fill(self, number: int, side: QueryRanking) -> None:
        value = f"{self._view.label} {side.value:.4f}"
        self.query_one(f"#side-{number}", Static).update(safe(f"{value}  {self._view.names[side.name]}"))
        hits = {hit.document: hit for hit in side.hits or ()}
        self._hits[number] = hits
        nothing = "there is no run.trec to read" if side.hits is None else "this query has no results"
        self._table(number).columns = _columns(hits)
        self._table(number).show(list(hits), lambda key: _cells(hits[key]), nothing)
        relevant = [hit.document for hit in hits.values() if hit.grade]
        self._table(number).go_to(relevant[0] if relevant else next(iter(hits), ""))

    @on(VirtualTable.Highlighted)
    def _moved(self) -> None:
        self._tell()

    def on_descendant_focus(self) -> None:
        """Show the passage of the list that has the keys now."""
        self._tell()

    @property
    def _side(self) -> int:
        """The number of the list that has the keys."""
        return 1 if self._table(1).has_focus else 0

    def _tell(self) -> None:
        """Show the passage under the cursor in full."""
        hit = self._hits[self._side].get(self._table(self._side).cursor_key or "")
        text = Text()
        if hit is not None:
            place = f"rank {hit.other} in the other" if hit.other is not None else "not in the other"
            text.append(f"{hit.judged}  {safe(hit.document)}  score {hit.score:.4f}  {place}\n", style="bold")
            text.append(safe(hit.text))
        self.query_one("#text", Static).update(text)

    def action_step(self, by: int) -> None:
        """Show the next query."""
        self._place = (self._place + by) % len(self._queries)
        self._read()

    def action_other(self) -> None:
        """Give the keys to the other list, at the same document where it is there."""
        now = self._side
        document = self._table(now).cursor_key
        other = self._table(1 - now)
        other.focus()
        if document is not None:
            other.go_to(document)
        self._tell()


def _columns(documents: Iterable[str]) -> tuple[Column, ...]:
    """Return the columns of a ranking: the ids take what they need, and the texts all that is left."""
    widest = max((cell_len(safe(document)) for document in documents), default=0)
    return (
        Column("", 3, align="right"),
        Column("moved", 5, align="right", rank=3),
        Column("grade", 5),
        Column("document", min(max(widest, 8), LONGEST_ID), rank=2, middle=True),
        Column("text", 10, grow=1),
    )


def _cells(hit: Hit) -> list[Cell]:
    sign, _, _ = hit.judged.partition(" ")
    grade = sign if hit.grade is None else f"{sign} {hit.grade}"
    colour = {"●": "success", "○": "error"}.get(sign, "text-muted")
    moved = "new" if hit.other is None else f"{hit.other - hit.rank:+d}" if hit.other != hit.rank else "="
    return [str(hit.rank), moved, Styled(grade, colour, bold=True), hit.document, hit.text]

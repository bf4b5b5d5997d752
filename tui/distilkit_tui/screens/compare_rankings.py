"""One query in depth: two rankings side by side, with judgements and texts."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from distilkit.errors import UserError
from distilkit_tui.core.differences import Hit, Side, query_texts, sides
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_view import View
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

COLUMNS = (
    Column("", 3, align="right"),
    Column("moved", 5, align="right", rank=3),
    Column("", 1),
    Column("document", 10, grow=1),
    Column("text", 10, grow=3, rank=2),
)


class Rankings(ModalScreen[None]):
    """The rankings of the system and the baseline for a query, and of those before and after it."""

    DEFAULT_CSS = """
    Rankings { align: center middle; background: $background; }
    Rankings > Vertical { width: 100%; height: 100%; }
    Rankings #query { height: auto; max-height: 4; padding: 0 1; background: $panel; }
    Rankings #lists { height: 3fr; }
    Rankings #lists Vertical { width: 1fr; margin-right: 1; }
    Rankings .side { height: 1; padding: 0 1; text-style: bold; }
    Rankings VirtualTable { height: 1fr; }
    Rankings #passage { height: 2fr; min-height: 4; padding: 0 1; background: $panel; }
    Rankings #passage Static { width: 100%; }
    Rankings #keys { height: 1; padding: 0 1; color: $foreground-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", show=False),
        Binding("right_square_bracket,n", "step(1)", show=False),
        Binding("left_square_bracket,N", "step(-1)", show=False),
        Binding("tab,left,right", "other", show=False),
    ]

    class Came(Message):
        """The rankings are there, or why not."""

        def __init__(self, query: str, text: str, found: tuple[Side, Side] | str) -> None:
            super().__init__()
            self.query, self.text, self.found = query, text, found

    def __init__(self, view: View, queries: Sequence[str], query: str) -> None:
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
                        yield VirtualTable(COLUMNS, "reading …", id=f"ranking-{number}")
            with VerticalScroll(id="passage", can_focus=False):
                yield Static("", id="text", markup=False)
            keys = "● relevant ○ not relevant · unjudged  tab other list  [ ] next query  esc back"
            yield Static(keys, id="keys", markup=False)

    def on_mount(self) -> None:
        """Read the rankings."""
        self._table(0).focus()
        self._look()

    def _table(self, number: int) -> VirtualTable:
        return self.query_one(f"#ranking-{number}", VirtualTable)

    def _look(self) -> None:
        self._read(self._queries[self._place])

    @work(thread=True, group="rankings", exit_on_error=False)
    def _read(self, query: str) -> None:
        view = self._view
        try:
            text = query_texts(view.result, view.column, [query], view.runs_dir).get(query, "")
            self.post_message(self.Came(query, text, sides(view.result, view.column, view.pair, query, view.runs_dir)))
        except UserError as error:
            self.post_message(self.Came(query, "", str(error)))

    def on_rankings_came(self, message: Came) -> None:
        """Show the rankings of a query, if it is still the one that is looked at."""
        if message.query != self._queries[self._place]:
            return
        head = Text(f"{self._place + 1} of {len(self._queries)}  {safe(message.query)}  ", style="bold")
        head.append(safe(message.text), style="not bold")
        self.query_one("#query", Static).update(head)
        if isinstance(message.found, str):
            self._hits = [{}, {}]
            for number in range(2):
                self._table(number).show([], lambda key: [], "no ranking")
            style = self.app.theme_variables["error"]
            self.query_one("#text", Static).update(Text(f"✗ {safe(message.found)}", style=style))
            return
        for number, side in enumerate(message.found):
            self._fill(number, side)
        self._tell()

    def _fill(self, number: int, side: Side) -> None:
        value = f"{self._view.label} {side.value:.4f}"
        self.query_one(f"#side-{number}", Static).update(safe(f"{value}  {self._view.names[side.name]}"))
        hits = {hit.document: hit for hit in side.hits or ()}
        self._hits[number] = hits
        nothing = "there is no run.trec to read" if side.hits is None else "this query has no results"
        self._table(number).show(list(hits), lambda key: _cells(hits[key]), nothing)
        relevant = [hit.document for hit in hits.values() if hit.grade]
        self._table(number).go_to(relevant[0] if relevant else next(iter(hits), ""))

    @on(VirtualTable.Highlighted)
    def _moved(self) -> None:
        self._tell()

    def on_descendant_focus(self) -> None:
        """Show the passage of the list that has the keys now."""
        self._tell()

    def _tell(self) -> None:
        """Show the passage under the cursor in full."""
        number = 1 if self._table(1).has_focus else 0
        hit = self._hits[number].get(self._table(number).cursor_key or "")
        text = Text()
        if hit is not None:
            place = f"rank {hit.other} in the other" if hit.other is not None else "not in the other"
            text.append(f"{hit.judged}  {safe(hit.document)}  score {hit.score:.4f}  {place}\n", style="bold")
            text.append(safe(hit.text))
        self.query_one("#text", Static).update(text)

    def action_step(self, by: int) -> None:
        """Show the next query."""
        self._place = (self._place + by) % len(self._queries)
        self._look()

    def action_other(self) -> None:
        """Give the keys to the other list, at the same document where it is there."""
        now = 1 if self._table(1).has_focus else 0
        document = self._table(now).cursor_key
        other = self._table(1 - now)
        other.focus()
        if document is not None:
            other.go_to(document)
        self._tell()


def _cells(hit: Hit) -> list[Cell]:
    sign, _, _ = hit.judged.partition(" ")
    colour = {"●": "success", "○": "error"}.get(sign, "text-muted")
    moved = "new" if hit.other is None else f"{hit.other - hit.rank:+d}" if hit.other != hit.rank else "="
    return [str(hit.rank), moved, Styled(sign, colour, bold=True), hit.document, hit.text]

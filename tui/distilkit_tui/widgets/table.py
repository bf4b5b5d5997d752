"""A table that renders only the rows in sight, so that ten thousand cost what forty do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from distilkit_tui.core.text import fit, safe, short

GAP = 1


@dataclass(frozen=True)
class Styled:
    """A cell in a colour: a theme's name for one (success, warning, error, accent, text-muted) or #rrggbb."""

    text: str
    colour: str = ""
    bold: bool = False


Cell = str | Styled | Callable[[int], Sequence[Styled]]
"""A text, one in a colour, or what draws a cell of a width out of pieces."""


@dataclass(frozen=True)
class Column:
    """A column: its title, its width in cells, its share of what is left over (`grow`).

    Of texts that are too long the end is left out, or the `middle`, for names that differ at their ends.

    Where the table is too narrow, columns with the least `rank` go first; those of rank 9 stay. Those that are `hidden`
    are never shown.
    """

    title: str
    width: int
    align: str = "left"
    grow: int = 0
    rank: int = 9
    middle: bool = False
    hidden: bool = False


class VirtualTable(ScrollView, can_focus=True):
    """Shows rows by key: `table.show(keys, cells)`, where `cells(key)` returns a row's cells.

    A cell is a string or Styled; it is escaped here and never read as markup. `cells` is called for rows in sight
    alone, once after each `show`. The cursor stays on its key, wherever that moves to, and where the key is gone on its
    place. Posts Highlighted, Selected and HeaderClicked.
    """

    DEFAULT_CSS = """
    VirtualTable { background: $surface; color: $foreground; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    VirtualTable > .table--header { background: $panel; color: $foreground; text-style: bold; }
    VirtualTable > .table--cursor { background: $panel; color: $foreground; }
    VirtualTable:focus > .table--cursor { background: $primary; color: $background; text-style: bold; }
    VirtualTable > .table--empty { color: $foreground-muted; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor", "table--empty"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(1)", show=False),
        Binding("enter", "select", show=False),
    ]

    class _About(Message):
        def __init__(self, table: "VirtualTable", key: str = "", column: int = -1) -> None:
            super().__init__()
            self.table, self.key, self.column = table, key, column

        @property
        def control(self) -> "VirtualTable":
            """The table."""
            return self.table

    class Highlighted(_About):
        """The cursor is on another key."""

    class Selected(_About):
        """A row was chosen, with enter or a second click."""

    class HeaderClicked(_About):
        """The title of a column, counted among all columns, was clicked."""

    def __init__(self, columns: Sequence[Column] = (), empty: str = "nothing here", id: str | None = None) -> None:
        super().__init__(id=id)
        self.empty = empty
        self._columns = tuple(columns)
        self._keys: Sequence[str] = ()
        self._places: dict[str, int] = {}
        self._cells: Callable[[str], Sequence[Cell]] = lambda key: [key]
        self._cursor = 0
        self._strips: dict[int, Strip] = {}
        self._layout: list[tuple[int, int]] = []  # column, width

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns."""
        return self._columns

    @columns.setter
    def columns(self, columns: Sequence[Column]) -> None:
        if tuple(columns) != self._columns:
            self._columns = tuple(columns)
            self._arrange()

    @property
    def keys(self) -> Sequence[str]:
        """The keys of all rows, in order."""
        return self._keys

    @property
    def cursor_key(self) -> str | None:
        """The key under the cursor, None in an empty table."""
        return self._keys[self._cursor] if self._keys else None

    def show(self, keys: Sequence[str], cells: Callable[[str], Sequence[Cell]], empty: str | None = None) -> None:
        """Show other rows, or the same ones with other cells; `empty` is said where there are none."""
        before = self.cursor_key
        if empty is not None:
            self.empty = empty
        if keys != self._keys:
            self._keys = tuple(keys)
            self._places = {key: place for place, key in enumerate(self._keys)}
            place = self._places.get(before, self._cursor) if before is not None else 0
            self._cursor = max(0, min(place, len(self._keys) - 1))
            self.virtual_size = Size(self.size.width, len(self._keys) + 1)
        self._cells = cells
        self._repaint()
        if self.cursor_key is not None and self.cursor_key != before:
            self._reveal()
            self.post_message(self.Highlighted(self, self.cursor_key))

    def go_to(self, key: str) -> None:
        """Move the cursor to a key, where there is such a row."""
        if key in self._places:
            self._move(self._places[key])

    def render_line(self, y: int) -> Strip:
        """Return the header, or the row that is `y` lines below it."""
        width = self.size.width
        if y == 0:
            return self._line(
                [column.title for column in self._columns], self.get_component_rich_style("table--header")
            )
        row = y - 1 + self.scroll_offset.y
        if row >= len(self._keys):
            text = f" {self.empty}" if not self._keys and y == 2 else ""
            style = self.get_component_rich_style("table--empty")
            return Strip([Segment(fit(text, width), style)])
        if row not in self._strips:
            plain = row != self._cursor
            style = self.rich_style if plain else self.get_component_rich_style("table--cursor")
            self._strips[row] = self._line(self._cells(self._keys[row]), style, plain)
        return self._strips[row]

    def _line(self, cells: Sequence[Cell], style: Style, plain: bool = True) -> Strip:
        segments = [Segment(" " * GAP, style)]
        for number, width in self._layout:
            cell = cells[number]
            if callable(cell):
                segments += [Segment(one.text, style + self._style(one, plain)) for one in cell(width)]
            else:
                text, own = (cell, style) if isinstance(cell, str) else (cell.text, style + self._style(cell, plain))
                column, text = self._columns[number], safe(text)
                text = short(text, width) if column.middle else text
                segments.append(Segment(fit(text, width, column.align), own))
            segments.append(Segment(" " * GAP, style))
        return Strip(segments).adjust_cell_length(self.size.width, style)

    def _style(self, cell: Styled, plain: bool) -> Style:
        """Return a cell's own style; under the cursor the colour is the cursor's."""
        variables = self.app.theme_variables
        colour = variables.get(cell.colour, cell.colour) if cell.colour and plain else None
        return Style(color=colour if colour and colour.startswith("#") else None, bold=cell.bold or None)

    def watch_show_vertical_scrollbar(self) -> None:
        """Make room for the scroll bar, which comes and goes with the number of rows."""
        self.call_after_refresh(self._arrange)

    def _arrange(self) -> None:
        """Choose the columns that fit and share out what is left over."""
        chosen = {number: column for number, column in enumerate(self._columns) if not column.hidden}
        left = self.scrollable_content_region.width - GAP - sum(column.width + GAP for column in chosen.values())
        dropped = []
        for number, column in sorted(chosen.items(), key=lambda item: (item[1].rank, -item[0])):
            if left < 0 and column.rank < 9:
                dropped.append(number)
                left += column.width + GAP
        for number in reversed(dropped):  # where a wide one has gone there may be room again for narrow ones
            if (needed := chosen[number].width + GAP) <= left:
                left -= needed
            else:
                del chosen[number]
        left, shares = max(0, left), sum(column.grow for column in chosen.values()) or 1
        self._layout = [(number, column.width + left * column.grow // shares) for number, column in chosen.items()]
        self._repaint()

    def _repaint(self) -> None:
        self._strips.clear()
        self.refresh()

    def _move(self, place: int) -> None:
        place = max(0, min(place, len(self._keys) - 1))
        if not self._keys or place == self._cursor:
            return
        for row in (self._cursor, place):
            self._strips.pop(row, None)
        self._cursor = place
        self._reveal()
        self.refresh()
        self.post_message(self.Highlighted(self, self._keys[place]))

    def _reveal(self) -> None:
        visible = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        wanted = min(max(top, self._cursor - visible + 1), self._cursor)
        if wanted != top:
            self.scroll_to(y=wanted, animate=False, force=True)

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self._move(self._cursor + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by some screenfuls."""
        self._move(self._cursor + pages * max(self.size.height - 2, 1))

    def action_edge(self, end: int) -> None:
        """Move the cursor to the first or the last row."""
        self._move(end * len(self._keys))

    def action_select(self) -> None:
        """Choose the row under the cursor."""
        if self.cursor_key is not None:
            self.post_message(self.Selected(self, self.cursor_key))

    def on_resize(self) -> None:
        """Lay the columns out for the new width."""
        self.virtual_size = Size(self.size.width, len(self._keys) + 1)
        self._arrange()
        self._reveal()

    def notify_style_update(self) -> None:
        """Forget what was painted in other colours."""
        super().notify_style_update()
        self._strips.clear()

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Paint the cursor as one that moves, or rests."""
        super().watch_has_focus(_has_focus)
        self._repaint()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the pointer is; a click on it chooses the row."""
        event.stop()
        if event.y == 0:
            self._click_header(event.x)
            return
        row = event.y - 1 + self.scroll_offset.y
        if row >= len(self._keys):
            return
        if row == self._cursor:
            self.action_select()
        else:
            self._move(row)

    def _click_header(self, x: int) -> None:
        start = GAP
        for number, width in self._layout:
            if start <= x < start + width + GAP:
                self.post_message(self.HeaderClicked(self, column=number))
                return
            start += width + GAP

    def watch_scroll_y(self, old: float, new: float) -> None:
        """Repaint whole: the header stays where it is."""
        super().watch_scroll_y(old, new)
        self.refresh(Region(0, 0, *self.size))

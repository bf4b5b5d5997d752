"""The dialogs that lie over a screen: a question before what cannot be undone, a choice of a few things, the keys."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from distilkit_tui.core import filters
from distilkit_tui.core.text import safe
from distilkit_tui.keys import KEYS, name
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A box in the middle of the screen; escape, or a click beside it, leaves it without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def action_leave(self) -> None:
        """Leave it."""
        self.dismiss()

    def on_click(self, event: events.Click) -> None:
        """Leave it where the click was beside the box."""
        if self.get_widget_at(event.screen_x, event.screen_y)[0] is self:
            self.action_leave()


class Confirm(Dialog[bool]):
    """Asks before what cannot be undone; enter alone keeps everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "dismiss(False)", show=False),
        Binding("y", "dismiss(True)", show=False),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, yes: str) -> None:
        super().__init__()
        self._question, self._yes = question, yes

    def compose(self) -> ComposeResult:
        """Question and answers, of which the harmless one comes first and has the focus."""
        with Vertical():
            yield Label(safe(self._question), markup=False)
            with Horizontal():
                yield Button("No (n)", id="no")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")

    def on_mount(self) -> None:
        """Let the harmless answer have the focus."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.dismiss(event.button.id == "yes")


class Pick(Dialog[str]):
    """Asks for one of some names, each with a word on it."""

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], now: str = "") -> None:
        super().__init__()
        self._title, self._choices, self._now = title, dict(choices), now

    def compose(self) -> ComposeResult:
        """A title and the choices."""
        width = min(30, max((len(name) for name in self._choices), default=1))
        with Vertical():
            yield Label(safe(self._title), markup=False)
            yield VirtualTable((Column("", width), Column("", 10, grow=1)))

    def on_mount(self) -> None:
        """Begin at what is chosen now."""
        table = self.query_one(VirtualTable)
        table.styles.height = min(len(self._choices) + 1, 18)
        table.show(list(self._choices), lambda key: [key, self._choices[key]])
        table.go_to(self._now)
        table.focus()

    @on(VirtualTable.Selected)
    def _selected(self, event: VirtualTable.Selected) -> None:
        self.dismiss(event.key)


class Columns(Dialog[tuple[str, ...]]):
    """Asks which columns of a table are shown; answers with those that are left out."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "flip", show=False),
        Binding("v,q", "leave", show=False),
    ]

    def __init__(self, titles: Mapping[str, str], hidden: Collection[str]) -> None:
        super().__init__()
        self._titles, self._hidden = titles, set(hidden)

    def compose(self) -> ComposeResult:
        """A title, the columns and what the keys do."""
        with Vertical():
            yield Label("Columns of the table of runs", markup=False)
            yield VirtualTable((Column("", 1), Column("", 20, grow=1)))
            yield Static("space shows or hides a column   esc closes", markup=False)

    def on_mount(self) -> None:
        """Show the columns."""
        table = self.query_one(VirtualTable)
        table.styles.height = len(self._titles) + 1
        table.show(list(self._titles), self._cells)
        table.focus()

    def _cells(self, key: str) -> list[Cell]:
        return ["" if key in self._hidden else Styled("✓", "success"), self._titles[key]]

    @on(VirtualTable.Selected)
    def action_flip(self) -> None:
        """Show the column under the cursor, or leave it out."""
        table = self.query_one(VirtualTable)
        self._hidden ^= {table.cursor_key or ""}
        table.show(list(self._titles), self._cells)

    def action_leave(self) -> None:
        """Answer."""
        self.dismiss(tuple(key for key in self._titles if key in self._hidden))


class Ask(Dialog[str]):
    """Asks for a text; `check` returns what is wrong with it, nothing where it will do."""

    def __init__(self, title: str, now: str, check: Callable[[str], str]) -> None:
        super().__init__()
        self._title, self._now, self._check = title, now, check

    def compose(self) -> ComposeResult:
        """A title, the text, and what is wrong with it."""
        with Vertical():
            yield Label(safe(self._title), markup=False)
            yield Input(self._now)
            yield Static("enter accepts it   esc cancels", markup=False)

    def on_mount(self) -> None:
        """Let one type at once."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        problem = self._check(event.value)
        if problem:
            self.query_one(Static).update(Text(f"✗ {safe(problem)}", self.app.theme_variables["error"]))
        else:
            self.dismiss(event.value)


class Help(Dialog[None]):
    """Every key of every screen, those of the screen it was asked on first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark,f1,q", "dismiss", show=False)]

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = place

    def compose(self) -> ComposeResult:
        """One long text."""
        with VerticalScroll():
            yield Static(help_text(self._place))

    def on_mount(self) -> None:
        """Scroll with the arrows at once."""
        self.query_one(VerticalScroll).focus()


def help_text(place: str) -> Group:
    """Return the keys of all places, one's own first, and the filter language."""
    parts: list[RenderableType] = []
    for other in sorted(KEYS, key=lambda other: other != place):
        title, keys = KEYS[other]
        grid = Table.grid()
        grid.add_column(width=16)
        grid.add_column()
        for key in keys:
            grid.add_row(Text(f"  {name(key)}", "bold"), Text(key.help))
        parts += [Text(title, "bold underline"), grid, Text()]
    told = filters.__doc__.partition("\n\n")[2].strip() if filters.__doc__ else ""
    return Group(*parts, Text("The filter of runs", "bold underline"), Text(told))

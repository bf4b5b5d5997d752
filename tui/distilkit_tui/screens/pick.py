"""Picks one of a few things."""

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Label

from distilkit_tui.core.text import safe
from distilkit_tui.widgets.table import Column, VirtualTable


class Pick(ModalScreen[str | None]):
    """Asks for one of some names, each with a word on it; None where nothing was picked."""

    DEFAULT_CSS = """
    Pick { align: center middle; background: $background 60%; }
    Pick > Vertical { width: 76; max-width: 96%; height: auto; max-height: 80%; padding: 1 2; background: $panel;
        border: round $primary; }
    Pick Label { width: 100%; }
    Pick VirtualTable { max-height: 18; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "nothing", show=False)]

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
        table.styles.height = len(self._choices) + 1
        table.show(list(self._choices), lambda key: [key, self._choices[key]])
        table.go_to(self._now)
        table.focus()

    @on(VirtualTable.Selected)
    def _selected(self, event: VirtualTable.Selected) -> None:
        self.dismiss(event.key)

    def action_nothing(self) -> None:
        """Leave all as it is."""
        self.dismiss(None)

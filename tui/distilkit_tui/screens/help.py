"""The keys, from the table that makes them."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from distilkit_tui.core import filters
from distilkit_tui.keys import KEYS, name


class Help(ModalScreen[None]):
    """Every key of every screen, those of the screen it was asked on first."""

    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help > VerticalScroll {
        width: 78; max-width: 96%; height: 90%; padding: 1 2; background: $panel; border: round $primary;
    }
    Help Static { width: 100%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,f1,q", "dismiss", show=False)]

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


def help_text(place: str) -> Text:
    """Return the keys of all places, one's own first, and the filter language."""
    text = Text()
    for other in sorted(KEYS, key=lambda other: other != place):
        title, keys = KEYS[other]
        text.append(f"{title}\n", style="bold underline")
        for key in keys:
            text.append(f"  {name(key):<14}", style="bold")
            text.append(f"{key.help}\n")
        text.append("\n")
    text.append("The filter of runs\n", style="bold underline")
    text.append(filters.__doc__.partition("\n\n")[2].strip() if filters.__doc__ else "")
    return text

"""Writes the comparison to a file, in one of the formats of the command line."""

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.result import ComparisonResult
from distilkit.errors import UserError
from distilkit.files import write_text
from distilkit_tui.core.text import safe
from distilkit_tui.widgets.table import Column, VirtualTable

SUFFIXES = {"markdown": ".md", "latex": ".tex", "text": ".txt"}
FIRST = ("markdown", "latex", "html", "json")
WIDTH = 120


class Export(ModalScreen[Path | None]):
    """Asks for format and file; a file that is there is replaced after a second enter alone."""

    DEFAULT_CSS = """
    Export { align: center middle; background: $background 60%; }
    Export > Vertical { width: 70; max-width: 96%; height: auto; padding: 1 2; background: $panel;
        border: round $primary; }
    Export Label { width: 100%; }
    Export Input, Export Input:focus { height: 1; border: none; padding: 0 1; background: $surface; margin: 1 0; }
    Export Static { width: 100%; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    class Written(Message):
        """It has been written, or why not."""

        def __init__(self, path: Path, problem: str) -> None:
            super().__init__()
            self.path, self.problem = path, problem

    def __init__(self, result: ComparisonResult, folder: Path) -> None:
        super().__init__()
        self._result, self._folder = result, folder
        self._sure = ""

    def compose(self) -> ComposeResult:
        """Formats, path, what is wrong."""
        with Vertical():
            yield Label("Write the comparison as", markup=False)
            yield VirtualTable((Column("format", 12, grow=1),))
            yield Input(id="path")
            yield Static("↑ ↓ format   tab path   enter writes   esc leaves", id="say", markup=False)

    def on_mount(self) -> None:
        """Begin with Markdown."""
        names = [*(name for name in FIRST if name in formats), *(name for name in formats if name not in FIRST)]
        table = self.query_one(VirtualTable)
        table.styles.height = len(names) + 1
        table.show(names, lambda key: [key])
        table.focus()

    @on(VirtualTable.Highlighted)
    def _moved(self, event: VirtualTable.Highlighted) -> None:
        box = self.query_one(Input)
        path = Path(box.value or str(self._folder / "comparison"))
        box.value = str(path.with_suffix(SUFFIXES.get(event.key, f".{event.key}")))

    @on(VirtualTable.Selected)
    @on(Input.Submitted)
    def _wanted(self) -> None:
        path = Path(self.query_one(Input).value).expanduser()
        if path.exists() and self._sure != str(path):
            self._sure = str(path)
            self._say(f"{path} exists; enter again replaces it", "warning")
            return
        self._say("writing …", "")
        self._write(path, self.query_one(VirtualTable).cursor_key or "markdown")

    @work(thread=True, group="export", exclusive=True, exit_on_error=False)
    def _write(self, path: Path, name: str) -> None:
        problem = ""
        try:
            write_text(path, render(self._result, name, Screen(width=WIDTH, details=True)))
        except UserError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{path}: cannot be written: {error.strerror}"
        self.post_message(self.Written(path, problem))

    def on_export_written(self, message: Written) -> None:
        """Leave, or say why it could not be written."""
        if message.problem:
            self._say(f"✗ {message.problem}", "error")
        else:
            self.dismiss(message.path)

    def _say(self, text: str, colour: str) -> None:
        style = self.app.theme_variables.get(colour, "")
        self.query_one("#say", Static).update(Text(safe(text), style=style))

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)

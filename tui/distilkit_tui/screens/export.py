"""The dialog that writes a comparison to a file."""

import asyncio
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Label, Static

from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.result import ComparisonResult
from distilkit.errors import UserError
from distilkit.files import expanded, write_text
from distilkit_tui.core.text import safe
from distilkit_tui.screens.dialogs import Dialog
from distilkit_tui.widgets.table import Column, VirtualTable

# What the files of a format end in where that is not the format's name; the formats that come first; how wide text is.
SUFFIXES = {"markdown": ".md", "latex": ".tex", "longtable": ".long.tex", "text": ".txt"}
FIRST = ("markdown", "latex", "html", "json")
WIDTH = 120


class ExportDialog(Dialog[Path]):
    """Writes a comparison in one of the command line's formats; a file that is there is replaced after a second enter.

    It is dismissed with the file that was written.
    """

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
            yield Static("↑ ↓ format   tab path   enter writes   esc cancels", id="say", markup=False)

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
        stem = path.name.partition(".")[0] or "comparison"
        box.value = str(path.with_name(f"{stem}{SUFFIXES.get(event.key, f'.{event.key}')}"))

    @on(VirtualTable.Selected)
    @on(Input.Submitted)
    def _wanted(self) -> None:
        path = expanded(self.query_one(Input).value)
        if path.exists() and self._sure != str(path):
            self._sure = str(path)
            self._say(f"{path} exists; enter again replaces it", "warning")
            return
        self._say("writing …", "")
        self._write(path, self.query_one(VirtualTable).cursor_key or "markdown")

    @work(exclusive=True, exit_on_error=False)
    async def _write(self, path: Path, name: str) -> None:
        """Write the file in a thread, then leave, or say why it cannot be written."""
        try:
            text = await asyncio.to_thread(render, self._result, name, Screen(width=WIDTH, details=True))
            await asyncio.to_thread(write_text, path, text)
        except UserError as error:
            self._say(f"✗ {error}", "error")
        except OSError as error:
            self._say(f"✗ {path}: cannot be written: {error.strerror}", "error")
        else:
            self.dismiss(path)

    def _say(self, text: str, colour: str) -> None:
        style = self.app.theme_variables.get(colour, "")
        self.query_one("#say", Static).update(Text(safe(text), style=style))

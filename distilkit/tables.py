"""Texts that may hold anything, made fit for terminals and spreadsheets; plain tables and sizes."""

import io
import re
import shutil
import sys
from collections.abc import Sequence
from textwrap import fill

# What rich writes for styles, or else any one control character.
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_STYLE = re.compile(r"\x1b\[[0-9;]{0,12}m")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def plain(text: str) -> str:
    """Return a text whose control characters, which could drive a terminal, are spelled out."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable(text: str) -> str:
    """Return what is to be printed without control characters, but for line ends, tabs and rich's bold and colours."""
    return _CONTROL.sub(lambda found: found[0] if _STYLE.fullmatch(found[0]) else repr(found[0])[1:-1], text)


def csv_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: one that looks like it begins with an apostrophe."""
    return f"'{text}" if _FORMULA.match(text) else text


def csv_text(cell: str) -> str:
    """Return the text that `csv_cell` wrote."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell


def table(header: Sequence[str], rows: Sequence[Sequence[str]], optional: Sequence[str] = ()) -> str:
    """Return rows below a header, columns aligned, two blanks apart.

    Where a terminal is narrower, the columns that are `optional` are left out, the first of them first, as far as is
    needed, and named below; what is still too wide is folded.
    """
    cells = [[plain(str(cell)) for cell in row] for row in (header, *rows)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    left: list[str] = []
    while room is not None and _width(cells) > room and len(left) < len(optional):
        place = cells[0].index(optional[len(left)])
        left.append(optional[len(left)])
        cells = [[cell for column, cell in enumerate(row) if column != place] for row in cells]
    said = f"(left out, as the terminal has {room} columns: {', '.join(left)})"
    note = f"\n{fill(said, room)}" if room is not None and left else ""
    if room is not None and _width(cells) > room:
        return _folded(cells, room) + note
    widths = _widths(cells)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]) + note


def _widths(cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*cells, strict=True)]


def _width(cells: Sequence[Sequence[str]]) -> int:
    widths = _widths(cells)
    return sum(widths) + 2 * (len(widths) - 1)


def _folded(cells: Sequence[Sequence[str]], room: int) -> str:
    """Return a table, its first row the header, in so many columns of a terminal."""
    from rich import box  # not needed where tables are as wide as they are
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    found = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for number, name in enumerate(cells[0]):
        # Names, which one types again, are folded in need alone.
        own = number == 0 and max(len(row[0]) for row in cells) <= room // 2
        found.add_column(Text(name), overflow="fold", no_wrap=own)
    for row in cells[1:]:
        found.add_row(*map(Text, row))
    out = io.StringIO()
    Console(file=out, width=room, no_color=True).print(found)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())


def size(count: float) -> str:
    """Return bytes for people."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def duration(seconds: float) -> str:
    """Return seconds as people say them: `50 s`, `4 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"

"""A table of the report, as every renderer sees it, in a table of the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from rich.cells import cell_len

from distilkit.comparison.tables.table import Cell as ReportCell
from distilkit.comparison.tables.table import Table
from distilkit_tui.core.text import safe, short
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# The widest that a name may be, on a narrow screen and on others.
NARROW, NAMES = 100, (22, 36)
MARKS = {"yes": ("✓ yes", "success"), "no": ("✗ no", "error")}


class ReportTable(VirtualTable):
    """Shows a Table of the report; the names of its rows are the keys."""

    def show_table(
        self,
        table: Table,
        names: Mapping[str, str],
        ranks: Mapping[str, int],
        first: Mapping[str, Cell],
        selected: str = "",
        empty: str = "",
    ) -> None:
        """Show a table with its rows under their short `names`.

        `ranks` says which columns go first where it is narrow, `first` has a cell before each row.
        """
        rows = {str(row[0].value): _under(row, names) for row in table.rows}
        heads = [f"{head.group} {head.name}".strip() for head in table.heads]
        widest = NAMES[self.app.size.width >= NARROW]
        widths = [
            max([cell_len(safe(head)), *(cell_len(_text(row[place])) for row in rows.values())])
            for place, head in enumerate(heads)
        ]
        columns = [Column("", 1), Column(heads[0], min(widest, widths[0]))]
        for head, width in list(zip(heads, widths, strict=True))[1:]:
            title = f"▸{head}" if head == selected else head
            # Letters behind means: numbers stand in line from the left alone.
            align: Literal["left", "right"] = "left" if table.key == "means" else "right"
            columns.append(Column(title, max(width, cell_len(safe(title))), align, rank=ranks.get(head, 9)))
        # What is left over stays empty, so that numbers stand near their names.
        self.columns = (*columns, Column("", 0, grow=1))
        self.show(list(rows), lambda key: [first.get(key, ""), *_cells(rows[key], widest), ""], empty or None)
        self.styles.height = len(rows) + 1 if rows else 3


def _cells(row: Sequence[ReportCell], width: int) -> list[Cell]:
    found: list[Cell] = []
    for place, cell in enumerate(row):
        text = _text(cell) if place else short(safe(cell.text), width)
        if text in MARKS:
            found.append(Styled(*MARKS[text]))
        else:
            found.append(Styled(text, bold=True) if cell.bold else text)
    return found


def _under(row: Sequence[ReportCell], names: Mapping[str, str]) -> tuple[ReportCell, ...]:
    """Return a row under its short name; what the text says behind the name (its seeds) stays."""
    name = str(row[0].value)
    text = names.get(name, name) + row[0].text.removeprefix(name)
    return (replace(row[0], text=text), *row[1:])


def _text(cell: ReportCell) -> str:
    """Return a cell with its star and letters; those without any keep their place, so that numbers stand in line."""
    return safe(f"{cell.text}{'*' if cell.star else ''}{f' {cell.marks}' if cell.marks else ''}")

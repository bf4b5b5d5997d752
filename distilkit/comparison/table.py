"""Tables of a report, whatever the output format: values, each with the text that shows it."""

from dataclasses import dataclass
from typing import Any

Value = float | int | str | None


@dataclass(frozen=True)
class Cell:
    """A value and its text, with its marks: bold where best, letters of significance, star of non-inferiority."""

    value: Value
    text: str
    bold: bool = False
    marks: str = ""
    star: bool = False


@dataclass(frozen=True)
class ColumnHead:
    """A column's head; equal groups beside each other share one wider head."""

    name: str
    group: str = ""


@dataclass(frozen=True)
class ResultTable:
    """A table of the report: the first cell of a row is its label. `key` is its name in JSON and `--tables`."""

    key: str
    title: str
    heads: tuple[ColumnHead, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plain value: columns by their full names, rows of raw values with their letters."""
        return {
            "key": self.key,
            "title": self.title,
            "columns": [f"{head.group} {head.name}".strip() for head in self.heads],
            "rows": [[cell.value for cell in row] for row in self.rows],
            "superscripts": [[cell.marks for cell in row] for row in self.rows],
            "notes": list(self.notes),
        }


def label(name: str, short: str = "") -> Cell:
    """Return the cell of a row's label, which shows a short name where there is one."""
    return Cell(name, short or name)


EMPTY = Cell(None, "-")
"""What a table shows where there is no value."""

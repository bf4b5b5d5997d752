"""Tables of a report, whatever the output format: values, each with the text that shows it."""

from collections.abc import Iterator, Sequence
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

    @property
    def full(self) -> str:
        """The name with that of its group."""
        return f"{self.group} {self.name}".strip()


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
            "columns": [head.full for head in self.heads],
            "rows": [[cell.value for cell in row] for row in self.rows],
            "superscripts": [[cell.marks for cell in row] for row in self.rows],
            "notes": list(self.notes),
        }


def cut(sizes: Sequence[int], first: int, room: int) -> Iterator[list[int]]:
    """Yield the columns of each piece that a table is cut into where it is wider than there is room.

    Every piece has the first column, which takes `first`, and as many others as fit, one at least; `sizes` are those of
    all columns.
    """
    places = list(range(1, len(sizes)))
    while places:
        taken = 1
        while taken < len(places) and first + sum(sizes[place] for place in places[: taken + 1]) <= room:
            taken += 1
        yield places[:taken]
        places = places[taken:]


def label(name: str, short: str = "") -> Cell:
    """Return the cell of a row's label, which shows a short name where there is one."""
    return Cell(name, short or name)


EMPTY = Cell(None, "-")
"""What a table shows where there is no value."""

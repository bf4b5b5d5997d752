"""The result as aligned text for a terminal or a log."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from distilkit.comparison import sentences, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import Cell, ColumnHead, ResultTable
from distilkit.comparison.tables.cost import in_words
from distilkit.comparison.tables.means import comparisons, means

_NAME_WIDTH = 40
_GAP = 2


@dataclass(frozen=True)
class Screen:
    """The screen that text is written for: its columns, whether it shows bold and colour, and how much it is to say.

    `details` adds every comparison's figures, where text else tells in words what they come to.
    """

    width: int = 100
    styled: bool = False
    details: bool = False


def render_text(result: ComparisonResult, screen: Screen | None = None) -> str:
    """Return the means with their letters, what the comparisons come to in words, and what both mean.

    The comparisons' figures stand below where the screen asks for details.
    """
    screen = screen or Screen()
    out = io.StringIO()
    console = Console(
        file=out,
        width=screen.width,
        force_terminal=screen.styled,
        no_color=not screen.styled,
        color_system="standard" if screen.styled else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for part in _parts(result, screen):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n") + "\n"


def _parts(result: ComparisonResult, screen: Screen) -> Iterator[RenderableType]:
    yield from _grids(means(result), screen.width)
    yield ""
    hint = "" if screen.details else "--details lists them"
    yield from (Text(line) for line in sentences.verdicts(result, rest=hint))
    yield from (Text(wording.visible(line)) for line in in_words(result)[: sentences.SENTENCES])
    tables = [*(comparisons(result) if screen.details else ()), *result.tables]
    for table in tables:
        yield Text(f"\n{wording.visible(table.title)}\n", style="bold")
        yield from _grids(table, screen.width)
        yield from (Text(wording.visible(note)) for note in table.notes)
    yield ""
    explained = sentences.columns(result) if screen.details and result.comparisons else []
    for line in (*sentences.legend(result), *explained, *sentences.policy(result)):
        yield Text(line)


def _grids(table: ResultTable, width: int) -> Iterator[Grid]:
    """Yield the table in as many pieces as the width asks for, each with the names, so that no number is broken."""
    sizes = [
        max(_shortest(head), *(cell_len(_text(row[place]).plain) for row in table.rows)) if table.rows else 1
        for place, head in enumerate(table.heads)
    ]
    first, others = min(_NAME_WIDTH, sizes[0]), list(enumerate(sizes))[1:]
    while others:
        taken = 1
        while taken < len(others) and first + sum(size + _GAP for _, size in others[: taken + 1]) <= width:
            taken += 1
        yield _grid(table, first, others[:taken])
        others = others[taken:]


def _grid(table: ResultTable, first: int, places: list[tuple[int, int]]) -> Grid:
    grid = Grid(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
        padding=(0, _GAP - 1, 0, 0),
    )
    grid.add_column(Text(wording.visible(table.heads[0].name)), overflow="fold", width=first)
    numbers = table.key != "means"
    for place, size in places:
        head = Text(wording.visible(_name(table.heads[place])))
        grid.add_column(head, overflow="fold", width=size, justify="right" if numbers else "left")
    for row in table.rows:
        grid.add_row(_text(row[0]), *(_text(row[place]) for place, _ in places))
    return grid


def _text(cell: Cell) -> Text:
    """Return a cell's text, bold where it is the best, then star and letters."""
    text = Text(wording.visible(cell.text) + ("*" if cell.star else ""), style="bold" if cell.bold else "")
    return text.append(f" {cell.marks}", style="not bold cyan") if cell.marks else text


def _name(head: ColumnHead) -> str:
    return f"{head.group} {head.name}".strip()


def _shortest(head: ColumnHead) -> int:
    """Return the width of a head's longest word."""
    return max((cell_len(word) for word in wording.visible(_name(head)).split()), default=1)

"""The result as aligned text for a terminal or a log."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from distilkit.comparison import answer_words, forest, sentences, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import Cell, ColumnHead, ResultTable, cut
from distilkit.comparison.tables import beside
from distilkit.comparison.tables.cost import in_words
from distilkit.comparison.tables.means import comparisons, means
from distilkit.run_folders.names import fitted

_NAME_WIDTH = 40
_FILES = 6
"""Of more systems than this, the sums of the files are a detail."""
_PLOT, _PLOT_GOOD, _PLOT_WIDEST, _WIDE = 18, 40, 72, 80
"""The columns of the forest plot: those that names leave it, those that names longer than usual leave it, the most, and
the screen that has figures beside it."""
ROLE_STYLES = {"decides": "cyan", "point": "bold", "band": "dim", "zero": "dim", "interval": ""}
VERDICT_STYLES = {"better": "green", "worse": "red"}
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
    yield from _answer(result, screen.width)
    yield from _grids(means(result), screen.width)
    yield ""
    hint = "" if screen.details else "--details lists them"
    yield from (Text(line) for line in sentences.verdicts(result, rest=hint))
    yield from (Text(wording.visible(line)) for line in in_words(result)[: sentences.SENTENCES])
    tables = [*(comparisons(result) if screen.details else ()), *beside(result)]
    for table in tables:
        yield Text(f"\n{wording.visible(table.title)}\n", style="bold")
        yield from _grids(table, screen.width)
        yield from (Text(wording.visible(note)) for note in table.notes)
    yield ""
    explained = sentences.columns(result) if screen.details and result.comparisons else []
    for line in (
        *sentences.legend(result),
        *explained,
        *sentences.policy(result, files=None if screen.details else _FILES),
    ):
        yield Text(line)


def _answer(result: ComparisonResult, width: int) -> Iterator[RenderableType]:
    """Yield the answer and its forest plot; nothing for a single system."""
    lines = answer_words.answer(result)
    for lead, text in lines:
        yield Text.assemble((f"{lead}: ", "bold"), text)
    if lines:
        yield ""
        yield from forest_plot(result, width)
        yield ""


def forest_plot(result: ComparisonResult, width: int) -> Iterator[Text]:
    """Yield the lines of the forest plot of a result that has an answer, in at most `width` columns."""
    answer = result.answer
    if answer is None:
        return
    verdicts = {line.name: answer_words.verdict(result, line) for line in answer.forest}
    if width < _WIDE:  # the margin is in the legend
        verdicts = {name: said.replace(f" ({wording.amount(result)})", "") for name, said in verdicts.items()}
    last, figures = max(map(len, verdicts.values())), 16 if width >= _WIDE else 0
    room = width - last - figures - 3
    names = fitted(
        [wording.visible(result.short[line.name]) for line in answer.forest],
        max(_NAME_WIDTH // 3, min(_NAME_WIDTH, room - _PLOT), room - _PLOT_GOOD),
    )
    first = max(map(cell_len, names.values()))
    plot = max(_PLOT // 2, min(_PLOT_WIDEST, width - first - last - figures - 3))
    within = forest.scale(answer)
    yield Text(answer_words.plot_title(result, answer), "bold")
    if figures:
        yield Text(f"{'system':<{first}}   mean   diff.", "dim")
    for line in answer.forest:
        name = names[wording.visible(result.short[line.name])]
        numbers = wording.signed(line.difference) if line.name != answer.baseline else ""
        numbers = f"{wording.number(line.mean)} {numbers:>7}" if figures else ""
        text = Text(
            f"{name}{' ' * (first - cell_len(name))} {numbers:<{figures}}"
            if figures
            else f"{name}{' ' * (first - cell_len(name))} "
        )
        for piece, role in forest.segments(forest.drawn(answer, line, within, plot)):
            text.append(piece, ROLE_STYLES.get(role, ""))
        yield text.append(f" {verdicts[line.name]}", VERDICT_STYLES.get(verdicts[line.name].partition(",")[0], ""))
    yield Text(f"{' ' * (first + figures + 1)}{forest.axis(answer, within, plot)}", "dim")
    for role, text_ in answer_words.plot_legend(result):
        yield Text.assemble((forest.SIGNS[role], ROLE_STYLES.get(role, "")), f" {text_}", style="dim")


def _grids(table: ResultTable, width: int) -> Iterator[Grid]:
    """Yield the table in as many pieces as the width asks for, each with the names, so that no number is broken."""
    sizes = [
        max(_shortest(head), *(cell_len(_text(row[place]).plain) for row in table.rows)) if table.rows else 1
        for place, head in enumerate(table.heads)
    ]
    room = width - sum(size + _GAP for size in sizes[1:])  # of a table in one piece
    first = min(sizes[0], max(_NAME_WIDTH, room))
    for places in cut([size + _GAP for size in sizes], first, width):
        yield _grid(table, first, [(place, sizes[place]) for place in places])


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
        head = Text(wording.visible(table.heads[place].full))
        grid.add_column(head, overflow="fold", width=size, justify="right" if numbers else "left")
    for row in table.rows:
        grid.add_row(_text(row[0]), *(_text(row[place]) for place, _ in places))
    return grid


def _text(cell: Cell) -> Text:
    """Return a cell's text, bold where it is the best, then star and letters."""
    text = Text(wording.visible(cell.text) + ("*" if cell.star else ""), style="bold" if cell.bold else "")
    return text.append(f" {cell.marks}", style="not bold cyan") if cell.marks else text


def _shortest(head: ColumnHead) -> int:
    """Return the width of a head's longest word."""
    return max((cell_len(word) for word in wording.visible(head.full).split()), default=1)

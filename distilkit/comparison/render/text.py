"""The result as aligned text for a terminal or a log."""

import io
from collections.abc import Iterator

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from distilkit.comparison.render import wording
from distilkit.comparison.render.registry import Screen, formats
from distilkit.comparison.result import Comparison, ComparisonResult

_NAME_WIDTH = 40
_GAP = 2


@formats.register("text")
def render_text(result: ComparisonResult, screen: Screen) -> str:
    """Return the means with their letters, the comparisons with every baseline, and what both mean."""
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
    for part in _parts(result, screen.width):
        console.print(part)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip("\n") + "\n"


def _parts(result: ComparisonResult, width: int) -> Iterator[RenderableType]:
    for measures in _portions(result, width):
        yield _means(result, measures)
    for measure, baseline, rows in result.groups():
        yield _comparisons(result, measure, baseline, rows, width)
    yield ""
    for line in (*wording.legend(result), *wording.policy(result)):
        yield Text(line)


def _portions(result: ComparisonResult, width: int) -> Iterator[list[str]]:
    """Yield as many measures at a time as fit beside the names, so that no number is broken."""
    cells = [len(_cell(result, one.name, one.measure).plain) for one in result.systems]
    column = _GAP + max(*cells, *(len(wording.visible(measure)) for measure in result.measures))
    room = max(1, (width - min(_NAME_WIDTH, _longest_name(result))) // column)
    for start in range(0, len(result.measures), room):
        yield list(result.measures[start : start + room])


def _means(result: ComparisonResult, measures: list[str]) -> Table:
    table = _table()
    table.add_column("System", overflow="fold")
    for measure in measures:
        table.add_column(Text(wording.visible(measure)), overflow="fold")
    for name in result.names:
        table.add_row(Text(wording.visible(name)), *(_cell(result, name, measure) for measure in measures))
    return table


def _cell(result: ComparisonResult, name: str, measure: str) -> Text:
    """Return a mean, bold where it is the best, and its letters."""
    one = result.mean(name, measure)
    cell = Text(wording.number(one.mean), style="bold" if one.mean == result.best(measure) else "")
    return cell.append(f" {one.superscripts}".rstrip(), style="not bold cyan")


def _comparisons(result: ComparisonResult, measure: str, baseline: str, rows: list[Comparison], width: int) -> Table:
    table = _table(f"{wording.visible(measure)} against {wording.visible(baseline)} ({wording.test_name(result)})")
    columns = _columns(result)
    room = width - sum(_GAP + size for _, size in columns)
    table.add_column("System", overflow="fold", width=max(10, min(room, _longest_name(result))))
    for head, size in columns:
        table.add_column(head, justify="right", width=size)
    for one in rows:
        table.add_row(Text(wording.visible(one.system)), *_values(one, result.correction != "none"))
    return table


def _columns(result: ComparisonResult) -> list[tuple[str, int]]:
    """Return the comparisons' columns with widths that fit the whole report, so that its tables stand in line."""
    counts = max(len(_counts(one)) for one in result.comparisons)
    corrected = f"p {wording.correction_name(result)}"
    return [
        ("difference", 10),
        (f"{wording.level(result)} interval", 18),
        ("p", 7),
        *([(corrected, max(7, len(corrected)))] if result.correction != "none" else []),
        ("W/T/L", max(5, counts)),
        (wording.margin(result), 7),
    ]


def _values(one: Comparison, corrected: bool) -> Iterator[str]:
    yield wording.signed(one.mean_difference)
    yield wording.interval(one)
    yield wording.p_value(one.p)
    if corrected:
        yield wording.p_value(one.p_adjusted)
    yield _counts(one)
    yield wording.answer(one.non_inferior)


def _counts(one: Comparison) -> str:
    return f"{one.wins}/{one.ties}/{one.losses}"


def _longest_name(result: ComparisonResult) -> int:
    return max(cell_len(wording.visible(name)) for name in result.names)


def _table(title: str | None = None) -> Table:
    return Table(
        title=None if title is None else Text(f"\n{title}"),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
        padding=(0, 1, 0, 0),
    )

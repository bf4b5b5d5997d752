"""The tab of means: the table with its letters, every figure against one baseline, and what it comes to in words."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from distilkit.comparison import sentences, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import Cell as ReportCell
from distilkit.comparison.table import ColumnHead, ResultTable
from distilkit.comparison.tables.means import comparisons
from distilkit.comparison.tables.means import means as means_table
from distilkit.run_folders.names import fitted
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_answer import VERDICTS
from distilkit_tui.screens.compare_view import ComparisonView, SystemsPane
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# Which columns of the comparisons go first where the screen is narrow; the others stay.
RANKS = {
    "t": 1, "p Wilcoxon": 1, "p permutation": 1, "detectable difference": 2, "queries needed": 2, "dz": 3, "p": 4,
    "W/T/L": 6,
}  # fmt: skip
INTERVAL = 7
# The widest that a name may be, on a narrow screen and on others.
NARROW, NAMES = 100, (22, 36)
MARKS = {"yes": ("✓ yes", "success"), "no": ("✗ no", "error")}


class ReportTable(VirtualTable):
    """Shows a table of the report; the names of its rows are the keys."""

    def show_table(
        self,
        table: ResultTable,
        ranks: Mapping[str, int],
        first: Mapping[str, Cell],
        selected: str = "",
        empty: str = "",
    ) -> None:
        """Show a table; `ranks` says which columns go first where it is narrow, `first` has a cell before each row."""
        rows = {str(row[0].value): row for row in table.rows}
        heads = [head.full for head in table.heads]
        names = fitted([safe(row[0].text) for row in table.rows], NAMES[self.app.size.width >= NARROW])
        widths = [
            max([cell_len(safe(head)), *(cell_len(_text(row[place])) for row in rows.values())])
            for place, head in enumerate(heads)
        ]
        columns = [Column("", 1), Column(heads[0], max(map(cell_len, (heads[0], *names.values()))))]
        for head, width in list(zip(heads, widths, strict=True))[1:]:
            title = f"▸{head}" if head == selected else head
            # Letters behind means: numbers stand in line from the left alone.
            align = "left" if table.key == "means" else "right"
            columns.append(Column(title, max(width, cell_len(safe(title))), align, rank=ranks.get(head, 9)))
        # What is left over stays empty, so that numbers stand near their names.
        self.columns = (*columns, Column("", 0, grow=1))
        self.show(list(rows), lambda key: [first.get(key, ""), *_cells(rows[key], names), ""], empty or None)
        self.styles.height = len(rows) + 1 if rows else 3


class MeansPane(SystemsPane):
    """Means and comparisons, as `distilkit compare` prints them."""

    def compose(self) -> ComposeResult:
        """Means, figures, words."""
        yield ReportTable(empty="comparing …", id="means")
        yield Static("", id="against", markup=False)
        yield ReportTable(empty="", id="comparisons")
        with VerticalScroll(id="words"):
            yield Static("", id="verdicts", markup=False)

    def look(self, view: ComparisonView) -> None:
        """Show a result."""
        result = view.result
        self.systems = result.names
        marks: dict[str, Cell] = {name: Styled("◆", "accent") for name in result.baselines}
        ranks = {_head(result, number): max(2, 8 - number) for number in range(len(result.columns))}
        ranks |= {view.label: 9, _level(result): INTERVAL}
        self.query_one("#means", ReportTable).show_table(_means(view), ranks, marks, view.label)
        self.table.go_to(view.system)
        self._compare(view)
        self.query_one("#verdicts", Static).update(words(view))

    def _compare(self, view: ComparisonView) -> None:
        result = view.result
        against = (
            f"{view.label} against {view.names[view.baseline]}: {wording.test_name(result)}, {sentences.family(result)}"
        )
        self.query_one("#against", Static).update(safe(against))
        names = {(label, baseline): rows for label, baseline, rows in result.groups()}
        tables = dict(zip(names, comparisons(result, full=True), strict=True))
        found = tables.get((view.label, view.baseline))
        signs: dict[str, Cell] = {one.system: Styled(*VERDICTS[result.outcome(one)]) for one in view.comparisons}
        empty = ResultTable("comparisons", "", (ColumnHead("System"),), ())
        self.query_one("#comparisons", ReportTable).show_table(
            found or empty,
            {**RANKS, _level(result): 8},
            signs,
            empty="there is nothing to compare",
        )

    @on(VirtualTable.Selected)
    def _open(self, event: VirtualTable.Selected) -> None:
        if event.key in self.systems:
            self.post_message(self.Opened(event.key))


def words(view: ComparisonView) -> Text:
    """Return what the comparison comes to, how to read it, and by which policy it was made."""
    text, result = Text(), view.result
    for line in sentences.verdicts(result, safe):
        text.append(f"{line}\n")
    rest = [*sentences.legend(result, safe), *(sentences.columns(result) if result.comparisons else [])]
    for line in (*rest, *sentences.policy(result, safe)):
        text.append(f"{line}\n", style="dim")
    return text


def _means(view: ComparisonView) -> ResultTable:
    """Return the table of means, with the interval of the measure that is looked at behind it."""
    result, made = view.result, means_table(view.result)
    heads = (*made.heads, ColumnHead(_level(result)))
    rows = tuple((*row, _interval(view, str(row[0].value))) for row in made.rows)
    return ResultTable(made.key, made.title, _named(result, heads), rows)


def _named(result: ComparisonResult, heads: tuple[ColumnHead, ...]) -> tuple[ColumnHead, ...]:
    """Return heads with the names that the rest of the screen has for the columns."""
    names = [result.label(column) for column in result.columns]
    return (heads[0], *(ColumnHead(name) for name in names), heads[-1])


def _head(result: ComparisonResult, number: int) -> str:
    return result.label(result.columns[number])


def _level(result: ComparisonResult) -> str:
    return f"{wording.level(result)} interval"


def _interval(view: ComparisonView, name: str) -> ReportCell:
    one = view.result.find(name, view.column)
    if one is None or one.ci_low is None or one.ci_high is None:
        return ReportCell(None, "-")
    return ReportCell(one.ci_low, f"[{one.ci_low:.4f}, {one.ci_high:.4f}]")


def _cells(row: Sequence[ReportCell], names: Mapping[str, str]) -> list[Cell]:
    found: list[Cell] = []
    for place, cell in enumerate(row):
        text = _text(cell) if place else names[safe(cell.text)]
        if text in MARKS:
            found.append(Styled(*MARKS[text]))
        else:
            found.append(Styled(text, bold=True) if cell.bold else text)
    return found


def _text(cell: ReportCell) -> str:
    """Return a cell with its star and letters; those without any keep their place, so that numbers stand in line."""
    return safe(f"{cell.text}{'*' if cell.star else ''}{f' {cell.marks}' if cell.marks else ''}")

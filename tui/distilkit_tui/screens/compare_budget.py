"""The tab of the budget: a measure beside the labels and the training behind each system, chance and ceiling below."""

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from distilkit.comparison.table import EMPTY, Cell, ColumnHead, ResultTable, label
from distilkit.comparison.tables.budget import budget
from distilkit.comparison.tables.means import bound_rows, mean_cell
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_means import ReportTable
from distilkit_tui.screens.compare_view import ComparisonView, SystemsPane
from distilkit_tui.widgets.table import Styled

NOTHING = "No system of this comparison states its labels and its training."
# What goes first where the screen is narrow: time, then what is a system's own.
RANKS = {
    "training time own": 1, "training time total": 2, "training MACs own": 3, "labelled queries own": 4,
    "training MACs total": 6,
}  # fmt: skip


class BudgetPane(SystemsPane):
    """Whether the comparison is fair: who had how many labels and how much training, and how much there is to gain."""

    def compose(self) -> ComposeResult:
        """A table, and what its columns count."""
        yield ReportTable(empty="comparing …", id="budget")
        with VerticalScroll(id="words"):
            yield Static("", id="counted", markup=False)

    def look(self, view: ComparisonView) -> None:
        """Show a result."""
        self.systems = view.result.names
        marks = {name: Styled("◆", "accent") for name in view.result.baselines}
        found = beside_means(view)
        self.query_one("#budget", ReportTable).show_table(found, RANKS, marks, view.label)
        self.table.go_to(view.system)
        self.query_one("#counted", Static).update(safe("\n".join(found.notes)))


def beside_means(view: ComparisonView) -> ResultTable:
    """Return the report's table of labels and training with the means of the measure that is looked at in it."""
    result, column = view.result, view.column
    stated = budget(result)
    behind = {row[0].value: row[1:] for row in stated.rows} if stated is not None else {}
    heads = stated.heads[1:] if stated is not None else ()
    nothing: tuple[Cell, ...] = tuple(EMPTY for _ in heads)
    rows = [
        (label(name, result.short[name]), mean_cell(result, name, column), *behind.get(name, nothing))
        for name in result.ranking
    ]
    rows += [(*row, *nothing) for row in bound_rows(result.bounds, [column])]
    notes = stated.notes if stated is not None else (NOTHING,)
    return ResultTable("budget", "", (ColumnHead("System"), ColumnHead(view.label), *heads), tuple(rows), notes)

"""The tab of means: the table with its letters, every figure against one baseline, and what it comes to in words."""

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from distilkit.comparison.render import verdict, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.tables.means import comparisons
from distilkit.comparison.tables.means import means as means_table
from distilkit.comparison.tables.table import Cell as ReportCell
from distilkit.comparison.tables.table import Head, Table
from distilkit_tui.core.text import safe
from distilkit_tui.screens.compare_view import Pane, View
from distilkit_tui.widgets.report_table import ReportTable
from distilkit_tui.widgets.table import Cell, Styled, VirtualTable

VERDICTS = {"better": ("▲", "success"), "worse": ("▼", "error"), "not shown to differ": ("≈", "text-muted")}
# Which columns of the comparisons go first where the screen is narrow; the others stay.
RANKS = {
    "t": 1, "p Wilcoxon": 1, "p permutation": 1, "detectable difference": 2, "queries needed": 2, "dz": 3, "p": 4,
    "W/T/L": 6,
}  # fmt: skip
INTERVAL = 7


class MeansPane(Pane):
    """Means and comparisons, as `distilkit compare` prints them."""

    DEFAULT_CSS = """
    MeansPane {
        #means { max-height: 45%; }
        #against { height: 1; margin-top: 1; padding: 0 1; text-style: bold; }
        #comparisons { max-height: 45%; }
        #words { height: 1fr; min-height: 3; margin-top: 1; padding: 0 1; }
        #words Static { width: 100%; }
    }
    """

    def compose(self) -> ComposeResult:
        """Means, figures, words."""
        yield ReportTable(empty="comparing …", id="means")
        yield Static("", id="against", markup=False)
        yield ReportTable(empty="", id="comparisons")
        with VerticalScroll(id="words"):
            yield Static("", id="verdicts", markup=False)

    @property
    def table(self) -> ReportTable:
        """The table of means."""
        return self.query_one("#means", ReportTable)

    def look(self, view: View) -> None:
        """Show a result."""
        result = view.result
        marks: dict[str, Cell] = {name: Styled("◆", "accent") for name in result.baselines}
        ranks = {_head(result, number): max(2, 8 - number) for number in range(len(result.columns))}
        ranks[view.label] = 9
        self.table.show_table(_means(view), view.names, {**ranks, _level(result): INTERVAL}, marks, view.label)
        self.table.go_to(view.system)
        self._compare(view)
        self.query_one("#verdicts", Static).update(words(view))

    def _compare(self, view: View) -> None:
        result = view.result
        against = (
            f"{view.label} against {view.names[view.baseline]}: {wording.test_name(result)}, {wording.family(result)}"
        )
        self.query_one("#against", Static).update(safe(against))
        names = {(label, baseline): rows for label, baseline, rows in result.groups()}
        tables = dict(zip(names, comparisons(result, full=True), strict=True))
        found = tables.get((view.label, view.baseline))
        signs: dict[str, Cell] = {
            one.system: Styled(*VERDICTS[verdict.outcome(result, one)]) for one in view.comparisons
        }
        empty = Table("comparisons", "", (Head("System"),), ())
        self.query_one("#comparisons", ReportTable).show_table(
            found or empty,
            view.names,
            {**RANKS, f"{wording.level(result)} interval": 8},
            signs,
            empty="there is nothing to compare",
        )

    @on(VirtualTable.Highlighted, "#means")
    def _moved(self, event: VirtualTable.Highlighted) -> None:
        if self.table.has_focus:
            self.post_message(self.Chosen(event.key))

    @on(VirtualTable.Selected)
    def _open(self, event: VirtualTable.Selected) -> None:
        self.post_message(self.Opened(event.key))


def words(view: View) -> Text:
    """Return what the comparison comes to, how to read it, and by which policy it was made."""
    text, result = Text(), view.result

    def show(name: str) -> str:
        return safe(view.names.get(name, name))

    for line in verdict.verdicts(result, show):
        text.append(f"{line}\n")
    rest = [*wording.legend(result, show), *(wording.columns(result) if result.comparisons else [])]
    for line in (*rest, *wording.policy(result, show)):
        text.append(f"{line}\n", style="dim")
    return text


def _means(view: View) -> Table:
    """Return the table of means, with the interval of the measure that is looked at behind it."""
    result, made = view.result, means_table(view.result)
    heads = (*made.heads, Head(_level(result)))
    rows = tuple((*row, _interval(view, str(row[0].value))) for row in made.rows)
    return Table(made.key, made.title, _named(result, heads), rows)


def _named(result: ComparisonResult, heads: tuple[Head, ...]) -> tuple[Head, ...]:
    """Return heads with the names that the rest of the screen has for the columns."""
    names = [result.label(column) for column in result.columns]
    return (heads[0], *(Head(name) for name in names), heads[-1])


def _head(result: ComparisonResult, number: int) -> str:
    return result.label(result.columns[number])


def _level(result: ComparisonResult) -> str:
    return f"{wording.level(result)} interval"


def _interval(view: View, name: str) -> ReportCell:
    one = view.result.find(name, view.column)
    if one is None or one.ci_low is None or one.ci_high is None:
        return ReportCell(None, "-")
    return ReportCell(one.ci_low, f"[{one.ci_low:.4f}, {one.ci_high:.4f}]")

"""What stands behind each system: its labelled queries and its training, without and with those of its teachers."""

from collections.abc import Callable

from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import EMPTY, Cell, ColumnHead, ResultTable, label
from distilkit.comparison.tables.cost import amount, duration

_NOTE = (
    "Own: of the ranker shown; total: with the trials of its grid, and with the fine-tuning of its teachers. MACs are "
    "computed for pairs of the greatest length: a trained pass counts as three forward passes, and teacher scores that "
    "were computed in advance count as if they were computed in every step, in MACs but not in time. The pre-training "
    "of checkpoints is not counted."
)
_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("labelled_queries", "labelled queries", lambda value: f"{value:,.0f}"),
    ("training_macs", "training MACs", amount),
    ("training_seconds", "training time", duration),
)


def budget(result: ComparisonResult) -> ResultTable | None:
    """Return a row per system that states its budget, in the order of the means; None without any."""
    if not result.budgets:
        return None
    heads, rows = [ColumnHead("System")], []
    for _, title, _ in _FIGURES:
        heads += [ColumnHead("own", title), ColumnHead("total", title)]
    for name in result.ranking:
        if name in result.budgets:
            found = result.budgets[name]
            cells = [_cell(found.get(key), show) for figure, _, show in _FIGURES for key in (figure, f"total_{figure}")]
            rows.append((label(name, result.short[name]), *cells))
    return ResultTable("budget", "Labels and training behind each system", tuple(heads), tuple(rows), (_NOTE,))


def _cell(value: float | None, show: Callable[[float], str]) -> Cell:
    return EMPTY if value is None else Cell(value, show(value))

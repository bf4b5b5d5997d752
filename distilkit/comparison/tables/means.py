"""The table of means (best bold, letters, stars: table 1 of Simplified TinyBERT) and those of the comparisons."""

from collections.abc import Callable, Iterator, Sequence

from distilkit.comparison import bounds, wording
from distilkit.comparison.result import Column, Comparison, ComparisonResult, SystemMean
from distilkit.comparison.table import EMPTY, Cell, ColumnHead, ResultTable, label

_Show = Callable[[Comparison], Cell]


def means(result: ComparisonResult) -> ResultTable:
    """Return a row per system and a column per measure, grouped by query set where there are several.

    Below them stand the ceiling and the chance of the candidates that they re-rank.
    """
    groups = {
        name: f"{name} ({policy['n']} queries)" if len(result.sets) > 1 else ""
        for name, policy in result.policies().items()
    }
    return ResultTable(
        "means",
        "Means",
        (ColumnHead("System"), *(ColumnHead(measure, groups[name]) for name, measure in result.columns)),
        (
            *(
                (_name(result, name), *(mean_cell(result, name, one) for one in result.columns))
                for name in result.ranking
            ),
            *bound_rows(result.bounds, result.columns),
        ),
    )


def bound_rows(found: Sequence[SystemMean], columns: Sequence[Column]) -> list[tuple[Cell, ...]]:
    """Return the rows of chance and ceiling, which have neither letters nor stars."""
    return [
        (
            label(name),
            *(Cell(means[one].mean, wording.number(means[one].mean)) if one in means else EMPTY for one in columns),
        )
        for name, means in bounds.by_name(found).items()
    ]


def mean_cell(result: ComparisonResult, name: str, column: Column) -> Cell:
    """Return the cell of a system's mean: bold where it is the best of its column, with its letters and star."""
    one = result.find(name, column)
    if one is None:
        return EMPTY
    return Cell(
        one.mean,
        wording.number(one.mean) + ("" if one.seed_deviation is None else f" ± {wording.number(one.seed_deviation)}"),
        bold=one.mean == result.best(one.measure, one.set),
        marks=one.superscripts,
        star=result.starred(name, column),
    )


def comparisons(result: ComparisonResult, full: bool = False) -> Iterator[ResultTable]:
    """Yield a table per measure and baseline; `full` has every figure of the JSON."""
    for title, baseline, rows in result.groups():
        columns = list(_columns(result, full))
        yield ResultTable(
            "comparisons",
            f"{title} against {result.short[baseline]} ({wording.test_name(result)})",
            (ColumnHead("System"), *(ColumnHead(name) for name, _ in columns)),
            tuple(
                (label(one.system, result.short[one.system]), *(cell(one) for _, cell in columns))
                for one in sorted(rows, key=lambda one: result.ranking.index(one.system))
            ),
        )


def _name(result: ComparisonResult, name: str) -> Cell:
    seeds = max(one.seeds for one in result.systems if one.name == name)
    short = result.short[name]
    return label(name, f"{short} ({seeds} seeds)" if seeds > 1 else short)


def _columns(result: ComparisonResult, full: bool) -> Iterator[tuple[str, _Show]]:
    yield "difference", lambda one: Cell(one.mean_difference, wording.signed(one.mean_difference))
    yield f"{wording.level(result)} interval", lambda one: Cell(one.ci_low, wording.interval(one))
    if full:
        yield "t", lambda one: _number(one.t, 2)
    yield "p", lambda one: Cell(one.p, wording.p_value(one.p))
    if result.correction != "none":
        name = f"p {wording.correction_name(result)}"
        yield name, lambda one: Cell(one.p_adjusted, wording.p_value(one.p_adjusted))
    if full:
        yield "p Wilcoxon", lambda one: Cell(one.wilcoxon_p, wording.p_value(one.wilcoxon_p))
        yield "p permutation", lambda one: Cell(one.permutation_p, wording.p_value(one.permutation_p))
    yield "dz", lambda one: _number(one.cohens_dz, 2)
    yield "W/T/L", lambda one: Cell(one.wins - one.losses, f"{one.wins}/{one.ties}/{one.losses}")
    yield wording.margin(result), lambda one: _answer(one.non_inferior)
    if result.equivalence:
        yield wording.within(result), lambda one: _answer(one.equivalent)
    if full:
        yield "detectable difference", lambda one: _number(one.minimum_detectable_difference, 4)
    yield "queries needed", lambda one: _count(one.queries_needed)


def _number(value: float | None, digits: int) -> Cell:
    return EMPTY if value is None else Cell(value, f"{value:.{digits}f}")


def _count(value: int | None) -> Cell:
    return EMPTY if value is None else Cell(value, f"{value:,}" if value < 10**7 else ">10M")


def _answer(value: bool | None) -> Cell:
    return Cell(None if value is None else int(value), wording.answer(value))

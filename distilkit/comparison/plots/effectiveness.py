"""Effectiveness against cost with its frontier (Margin-MSE, figures 4 and 5), and differences query by query."""

from typing import TYPE_CHECKING

import numpy as np

from distilkit.comparison import run_files
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult, SystemMean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Point = tuple[float, SystemMean]


def draw_frontier(result: ComparisonResult) -> "Figure | None":
    """Return the first measure against its cost; None where fewer than two systems state one."""
    axis, points = costed(result)
    if len(points) < 2:
        return None
    figure = style.figure(7.2, 4.0)
    axes = figure.subplots()
    best = frontier([(x, one.mean) for x, one in points])
    names = style.chosen(
        result, (one.name for _, one in points), [one.name for x, one in points if (x, one.mean) in best]
    )
    for x, one in points:
        if one.name not in names:
            axes.plot(x, one.mean, "o", color=style.REST, markersize=5)
    for place, (x, one) in enumerate(point for point in points if point[1].name in names):
        look = {**style.of(place), "linestyle": "none"}
        error = (
            None if one.ci_low is None or one.ci_high is None else [[one.mean - one.ci_low], [one.ci_high - one.mean]]
        )
        axes.errorbar(
            x, one.mean, yerror(error), capsize=3, markersize=7, label=style.named(result.short[one.name]), **look
        )
    best.append((max(x for x, _ in points), best[-1][1]))
    axes.step(*zip(*best, strict=True), where="post", color=style.BLACK, linewidth=1, linestyle=":", label="frontier")
    for one in result.systems:
        free = one.name == "bm25" and (one.set, one.measure) == result.columns[0]
        if free and one.name not in {point.name for _, point in points}:
            axes.axhline(one.mean, color="#777777", linewidth=1, linestyle="--", label="BM25 (no re-ranking)")
    style.logarithmic(axes)
    axes.set_xlabel(axis)
    axes.set_ylabel(f"{result.label(result.columns[0])}, {100 * result.level:.4g} % interval")
    style.legend(axes, len(names) + 2)
    style.left_out(figure, len(names), len(points), "grey points")
    return figure


def yerror(error: list[list[float]] | None) -> list[list[float]] | None:
    """Return the error bars' lengths, none below zero through rounding."""
    return None if error is None else [[max(0.0, *side)] for side in error]


def costed(result: ComparisonResult) -> tuple[str, list[Point]]:
    """Return the axis of cost and the systems of the first measure with theirs.

    Milliseconds where all that state a cost were timed together and at one depth, else multiply-accumulates of a pair.
    """
    systems, column = run_files.first_set(result), result.columns[0]
    means = {name: mean for name in systems if (mean := result.find(name, column)) is not None}
    macs = {name: run_files.cost(systems[name], "macs_per_pair") for name in means}
    timed = {name: run_files.cost(systems[name], "ms_per_query") for name in means}
    depths = {run_files.first_cost(systems[name]).depth for name in means if timed[name]}
    together = run_files.timed_together(systems[name] for name in means)
    if together and len(depths) == 1 and all(timed[name] or not macs[name] for name in means):
        return f"ms per query at depth {depths.pop()} (median)", _points(timed, means)
    return "multiply-accumulates per pair", _points(macs, means)


def frontier(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto frontier by cost: the points that no point of the same or lower cost is as good as."""
    kept: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or y > kept[-1][1]:
            kept.append((x, y))
    return kept


def _points(found: dict[str, float | None], means: dict[str, SystemMean]) -> list[Point]:
    return [(x, means[name]) for name, x in found.items() if x]


def draw_waterfall(result: ComparisonResult) -> "Figure | None":
    """Return the sorted differences by query from the answer's baseline on the first measure, a panel per system."""
    column, baseline = result.columns[0], result.reference
    rows = {
        one.system: one for one in result.comparisons if (one.set, one.measure) == column and one.baseline == baseline
    }
    systems = run_files.first_set(result)
    if not rows or baseline not in systems:
        return None
    count = len(rows)
    rows = {name: rows[name] for name in style.chosen(result, rows)}
    figure, axes = style.panels(len(rows))
    there = systems[baseline].per_query[column[1]]
    for panel, one in zip(axes, rows.values(), strict=True):
        values = systems[one.system].per_query[column[1]]
        differences = np.sort([values[query] - there[query] for query in values.keys() & there.keys()])[::-1]
        edges = np.arange(len(differences) + 1)
        panel.stairs(np.maximum(differences, 0), edges, fill=True, color=style.BLUE)
        panel.stairs(np.minimum(differences, 0), edges, fill=True, color=style.RED)
        panel.axhline(0, color=style.BLACK, linewidth=0.6)
        panel.set_title(
            f"{style.named(result.short[one.system])}\n{one.wins} won, {one.ties} tied, {one.losses} lost", fontsize=8
        )
        panel.set_xticks([])
    figure.supxlabel("queries, sorted", fontsize=8)
    figure.supylabel(f"{result.label(column)} - {style.named(result.short[baseline])}", fontsize=8)
    style.left_out(figure, len(rows), count)
    return figure

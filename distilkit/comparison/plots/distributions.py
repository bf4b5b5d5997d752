"""Distributions of scores and of margins, relevant against not (Margin-MSE, figures 1 and 3)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from distilkit.comparison import run_files
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Vector = NDArray[np.float64]
BINS = 40


def draw_scores(result: ComparisonResult) -> "Figure | None":
    """Return, per system, the shares of its scores for relevant and for other results."""

    def fill(axes: "Axes", per_query: list[tuple[Vector, Vector]]) -> None:
        relevant = np.concatenate([one for one, _ in per_query])
        others = np.concatenate([one for _, one in per_query])
        edges = np.histogram_bin_edges(np.concatenate([relevant, others]), BINS)
        _outline(axes, others, edges, "not relevant", color=style.RED, linestyle="--")
        _outline(axes, relevant, edges, "relevant", color=style.BLUE, linestyle="-")

    return _draw(result, fill, "score")


def draw_margins(result: ComparisonResult) -> "Figure | None":
    """Return, per system, the shares of its margins: a query's relevant results' scores less those of its others."""

    def fill(axes: "Axes", per_query: list[tuple[Vector, Vector]]) -> None:
        margins = np.concatenate([np.subtract.outer(*pair).ravel() for pair in per_query])
        share = f"{np.mean(margins > 0):.0%} above 0" if len(margins) else ""
        _outline(axes, margins, np.histogram_bin_edges(margins, BINS), share, color=style.BLUE, linestyle="-")
        axes.axvline(0, color=style.BLACK, linewidth=0.8)

    return _draw(result, fill, "margin")


def scores_by_relevance(system: System) -> list[tuple[Vector, Vector]]:
    """Return each query's scores of relevant and of other results (without a grade above 0), where it has both."""
    run, qrels = run_files.ranking(system), run_files.judgements(system)
    if run is None or qrels is None:
        return []
    found = []
    for query, results in run.items():
        grades = qrels.get(query, {})
        relevant = [score for document, score in results if grades.get(document, 0) > 0]
        others = [score for document, score in results if grades.get(document, 0) <= 0]
        if relevant and others:
            found.append((np.array(relevant), np.array(others)))
    return found


def _draw(
    result: ComparisonResult, fill: Callable[["Axes", list[tuple[Vector, Vector]]], None], across: str
) -> "Figure | None":
    systems = run_files.first_set(result)
    found = {name: scores for name in style.chosen(result, systems) if (scores := scores_by_relevance(systems[name]))}
    if not found:
        return None
    figure, axes = style.panels(len(found))
    for panel, (name, per_query) in zip(axes, found.items(), strict=True):
        fill(panel, per_query)
        panel.set_title(style.named(result.short[name]), fontsize=8)
        panel.set_xlabel(style.of_first_seed(result, across))
        panel.set_yticks([])
        panel.locator_params(axis="x", nbins=4)
        panel.legend(fontsize=7, handlelength=1.4)
    style.left_out(figure, len(found), len(systems))
    return figure


def _outline(axes: "Axes", values: Vector, edges: Vector, label: str, color: str, linestyle: str) -> None:
    counts, _ = np.histogram(values, edges)
    axes.stairs(counts / max(1, len(values)), edges, label=label, color=color, linestyle=linestyle, linewidth=1.2)

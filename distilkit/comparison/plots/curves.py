"""Curves of training: validation by step or by examples (Gao et al., figure 2), scores (Margin-MSE, figure 1)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from distilkit.comparison import run_files
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.run_files import Line
from distilkit.comparison.systems import System

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_validation(result: ComparisonResult) -> "Figure | None":
    """Return the first measure on the validation queries against the student's steps, its stages one after another."""
    return _draw(result, run_files.validation_line, style.of_first_seed(result, "training step"))


def draw_examples(result: ComparisonResult) -> "Figure | None":
    """Return the first measure on the validation queries by training examples, on a logarithmic axis."""
    return _draw(result, run_files.example_line, "training examples", log=True)


def draw_training_scores(result: ComparisonResult) -> "Figure | None":
    """Return the mean scores in training, negatives dashed: the range that each architecture takes."""
    found = {name: run_files.score_lines(system) for name, system in run_files.first_set(result).items()}
    found = {name: lines for name, lines in found.items() if all(len(line) > 1 for line in lines)}
    if not found:
        return None
    figure = style.figure(7.2, 3.6)
    axes = figure.subplots()
    names = style.chosen(result, found)
    for place, name in enumerate(names):
        positive, negative = found[name]
        look = {**style.of(place), "markersize": 3.5}
        label = style.named(result.short[name])
        axes.plot(*zip(*positive, strict=True), label=label, linewidth=1.3, **{**look, "linestyle": "-"})
        axes.plot(*zip(*negative, strict=True), linewidth=1.0, **{**look, "linestyle": "--"})
    axes.set_xlabel(style.of_first_seed(result, "training step"))
    axes.set_ylabel("mean score (dashed: negatives)")
    style.legend(axes, len(names))
    style.left_out(figure, len(names), len(found))
    return figure


def _draw(
    result: ComparisonResult, read: Callable[[System, str], Line], across: str, log: bool = False
) -> "Figure | None":
    measure = result.columns[0][1]
    found = {name: read(system, measure) for name, system in run_files.first_set(result).items()}
    lines = {name: line for name, line in found.items() if line}
    if not any(len(line) > 1 for line in lines.values()):
        return None
    figure = style.figure(7.2, 3.6)
    axes = figure.subplots()
    names = style.chosen(result, lines)
    for name, line in lines.items():
        if name not in names:
            axes.plot(*zip(*line, strict=True), color=style.REST, linewidth=0.8)
    for place, name in enumerate(names):
        axes.plot(
            *zip(*lines[name], strict=True),
            label=style.named(result.short[name]),
            markersize=4,
            linewidth=1.3,
            **style.of(place),
        )
    if log:
        style.logarithmic(axes)
    axes.set_xlabel(across)
    axes.set_ylabel(f"{measure} on validation queries")
    style.legend(axes, len(names))
    style.left_out(figure, len(names), len(lines), "grey lines")
    return figure

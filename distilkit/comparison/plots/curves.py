"""Learning curves: validation by step, and effectiveness by the number of training examples (Gao et al., figure 2)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from distilkit.comparison import evidence
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.system import System

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line = list[tuple[float, float]]
_Read = Callable[[System, str], Line]


def draw_validation(result: ComparisonResult) -> "Figure | None":
    """Return the first measure on the validation queries against the student's steps, its stages one after another."""
    measure = result.columns[0][1]
    return _draw(_lines(result, validation_line), "training step", f"{measure} on validation queries")


def draw_examples(result: ComparisonResult) -> "Figure | None":
    """Return the first measure on the validation queries by training examples, on a logarithmic axis."""
    measure = result.columns[0][1]
    up = f"{measure} on validation queries"
    return _draw(_lines(result, example_line), "training examples", up, log=True)


def validation_line(system: System, measure: str) -> Line:
    """Return (step, value) of every validation; the steps of a stage follow those of the one before."""
    line: dict[float, float] = {}
    stage, start, last = None, 0, 0
    for event in evidence.events(system, "validation", "curve"):
        if event.get("stage") != stage:
            stage, start = event.get("stage"), last
        last = start + int(event.get("step", 0))
        if measure in event["values"]:
            line[last] = float(event["values"][measure])
    return sorted(line.items())


def example_line(system: System, measure: str) -> Line:
    """Return (examples, value) of every point that the student was validated at on the way."""
    points = evidence.curve(system).get("points") or [one["values"] for one in evidence.events(system, "curve")]
    line = {float(one["examples"]): float(one[measure]) for one in points if measure in one and "examples" in one}
    return sorted(line.items())


def _lines(result: ComparisonResult, read: _Read) -> dict[str, Line]:
    measure = result.columns[0][1]
    found = {name: read(system, measure) for name, system in evidence.first_set(result).items()}
    return {name: line for name, line in found.items() if line}


def _draw(lines: dict[str, Line], across: str, up: str, log: bool = False) -> "Figure | None":
    if not any(len(line) > 1 for line in lines.values()):
        return None
    figure = style.figure(7.2, 3.6)
    axes = figure.subplots()
    for place, (name, line) in enumerate(lines.items()):
        axes.plot(
            *zip(*line, strict=True), label=style.named(name, lines), markersize=4, linewidth=1.3, **style.of(place)
        )
    if log:
        style.logarithmic(axes)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    style.legend(axes, len(lines))
    return figure

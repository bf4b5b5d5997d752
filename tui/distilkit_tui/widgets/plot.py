"""What a chart shows, as plain data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from distilkit_tui.core.series import Floats
from distilkit_tui.widgets.axis import figure


@dataclass(frozen=True)
class Curve:
    """One set of points of a chart: `x` and `y` [n], NaN in `y` being a gap.

    `kind` is "line" (x ascending), "points" or "bars" (from zero to y). `colour` counts in the theme's series colours
    (any whole number). `glyph` marks each point ("points" has ● by default; a line may have one too); `labels` stand
    beside the points where there is room. In the legend a curve has its letter, name and last value, so that colour is
    never needed to tell curves apart; a `dim` one is drawn back and has no place there.
    """

    name: str
    x: Floats
    y: Floats
    colour: int = 0
    kind: Literal["line", "points", "bars"] = "line"
    glyph: str = ""
    labels: tuple[str, ...] = ()
    dim: bool = False


@dataclass(frozen=True)
class Plot:
    """What a chart shows: its curves, painted in order, the last one on top, and its axes.

    `x_figure` writes a value of the x axis, `x_also` are values that it must reach. `zero` keeps 0 in the y axis;
    `lines` are heights of dotted lines. Where no curve has a point, `note` is said.
    """

    title: str = ""
    curves: tuple[Curve, ...] = ()
    x_label: str = ""
    log_x: bool = False
    log_y: bool = False
    zero: bool = False
    lines: tuple[float, ...] = ()
    x_also: tuple[float, ...] = ()
    x_figure: Callable[[float], str] = figure
    note: str = "nothing to draw yet"

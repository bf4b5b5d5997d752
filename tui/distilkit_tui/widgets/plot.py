"""What a chart shows, as plain data, and its axes: where a value's place is, which round values are written there."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from distilkit_tui.core.history import Floats
from distilkit_tui.core.text import figure


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

    `x_figure` writes a value of the x axis (None: as a number), `x_also` are values that it must reach. `zero` keeps 0
    in the y axis; `lines` are heights of dotted lines. Where no curve has a point, `note` is said.
    """

    title: str = ""
    curves: tuple[Curve, ...] = ()
    x_label: str = ""
    log_x: bool = False
    log_y: bool = False
    zero: bool = False
    lines: tuple[float, ...] = ()
    x_also: tuple[float, ...] = ()
    x_figure: Callable[[float], str] | None = None
    note: str = "nothing to draw yet"


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` to 0 to 1, evenly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, parts: Sequence[Floats], log: bool = False, zero: bool = False) -> "Axis":
        """Return the axis that holds all finite values, positive ones alone where it is logarithmic.

        Without a positive value an axis is never logarithmic.
        """
        lows, highs = [], []
        log = log and any((part > 0).any() for part in parts)
        for part in parts:
            finite = part[np.isfinite(part) & (part > 0) if log else np.isfinite(part)]
            if len(finite):
                lows.append(float(finite.min()))
                highs.append(float(finite.max()))
        if not lows:
            return cls(0.0, 1.0)
        low, high = min(lows), max(highs)
        if zero and not log:
            low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            room = 0.0 if log else abs(low) * 0.05 or 0.5
            low, high = (low / 1.5, high * 1.5) if log else (low - room, high + room)
        return cls(low, high, log)

    def place(self, values: Floats | float) -> Floats:
        """Return each value's share of the way from low to high; a gap where a logarithm is asked of nothing."""
        if not self.log:
            return np.asarray((values - self.low) / (self.high - self.low))
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(values > 0, np.log(values), np.nan)
        return np.asarray((logs - math.log(self.low)) / (math.log(self.high) - math.log(self.low)))

    def at(self, share: float) -> float:
        """Return the value at a share of the way."""
        if not self.log:
            return self.low + share * (self.high - self.low)
        return float(math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low))))

    def marks(self, most: int, write: Callable[[float], str] | None = None) -> list[tuple[float, str]]:
        """Return at most `most` ticks: their shares of the way and what is written there, by `write` if given."""
        values = self.ticks(most)
        step = 0.0 if self.log or len(values) < 2 else values[1] - values[0]
        return [(float(self.place(value)), write(value) if write else figure(value, step)) for value in values]

    def ticks(self, most: int) -> list[float]:
        """Return at most `most` values, round ones where the axis is even."""
        most = max(most, 1)
        if self.log:
            return self._log_ticks(most)
        step = _round_up((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        found = [number * step for number in range(first, first + most + 1) if number * step <= self.high + step * 1e-9]
        return found or [self.low]

    def _log_ticks(self, most: int) -> list[float]:
        """Return powers of ten, or even shares of the way where it holds fewer than two of them."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        if last <= first:
            return [self.at(number / max(most - 1, 1)) for number in range(most)]
        return [10.0**power for power in range(first, last + 1, -(-(last - first + 1) // most))]


def _round_up(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= step * (1 - 1e-9))

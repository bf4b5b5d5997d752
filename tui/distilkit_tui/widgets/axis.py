"""Axes: what a value's place is, and which round values are written beside it."""

import math
import re
from dataclasses import dataclass

import numpy as np

from distilkit_tui.core.series import Floats


@dataclass(frozen=True)
class Axis:
    """Maps values from `low` to `high` to 0 to 1, evenly or by their logarithm."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, parts: list[Floats], log: bool = False, zero: bool = False) -> "Axis":
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

    def place(self, values: Floats) -> Floats:
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


def figure(value: float, step: float = 0.0) -> str:
    """Return a number in few characters: 0.025, 1.5, 12k, 3e-05; `step` says how fine its neighbours are."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if not size:
        return "0"
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit * (1 if unit > 1e3 else 10):
            return f"{value / unit:.4g}{name}"
    if not step or step < 1e-5:
        return re.sub(r"e([+-])0", r"e\1", f"{value:.3g}" if step or size < 1e-3 else f"{value:.4g}")
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += abs(round(step * 10**digits) - step * 10**digits) > 1e-6  # 0.25 needs one more than 0.2
    return f"{value:.{digits}f}"

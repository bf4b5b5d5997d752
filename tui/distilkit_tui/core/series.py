"""Curves as arrays: they grow, are smoothed, and are thinned to what a screen can show without losing a spike."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Values of smoothing, as the number of points that weigh in; 0 shows the points as they are.
WINDOWS = (0, 10, 50, 200)
# How many numbers wait before they go into the array, into which one by one is slow.
BATCH = 768


class Series:
    """Points of one curve: step, seconds since the epoch, value; not a number where there is a gap."""

    def __init__(self) -> None:
        self._points, self._count = np.empty((3, 256)), 0
        self._rows: list[float] = []

    def __len__(self) -> int:
        return self._count + len(self._rows) // 3

    def append(self, step: float, time: float, value: float) -> None:
        """Add a point behind the others."""
        self._rows += (step, time, value)
        if len(self._rows) >= BATCH:
            self._settle()

    def _settle(self) -> npt.NDArray[np.float64]:
        """Return the points [3, n], with those that were added since the last look."""
        if self._rows:
            fresh = np.array(self._rows).reshape(-1, 3).T
            self._rows = []
            if (count := self._count + fresh.shape[1]) > self._points.shape[1]:
                grown = np.empty((3, 2 * count))
                grown[:, : self._count] = self._points[:, : self._count]
                self._points = grown
            self._points[:, self._count : count] = fresh
            self._count = count
        return self._points[:, : self._count]

    def rewind(self, step: float) -> None:
        """Forget the points at and behind a step: a resumed run does them again."""
        self._count = int(np.searchsorted(self.steps, step))

    def _row(self, number: int) -> Floats:
        row: Floats = self._settle()[number]
        return row

    @property
    def steps(self) -> Floats:
        """The steps [n]."""
        return self._row(0)

    @property
    def times(self) -> Floats:
        """The seconds since the epoch [n]."""
        return self._row(1)

    @property
    def values(self) -> Floats:
        """The values [n]."""
        return self._row(2)


def smooth(values: Floats, window: int) -> Floats:
    """Return the exponential moving average of `values` [n], without the pull of its start and blind to gaps.

    The average of a step weighs the points before it by (1 - a)^distance, a = 2 / (window + 1), and divides by the sum
    of the weights. Gaps stay gaps.
    """
    if window < 2 or not len(values):
        return values
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        averages = _decayed_sum(np.where(finite, values, 0.0), window) / _decayed_sum(finite.astype(float), window)
    return np.where(finite, averages, np.nan)


def _decayed_sum(values: Floats, window: int) -> Floats:
    """Return s with s[t] = (1 - a)·s[t - 1] + values[t], in blocks, within which it is a scaled running sum."""
    keep = 1 - 2 / (window + 1)
    size = max(1, min(len(values), int(25 / -np.log(keep))))  # the scale stays below e^25
    blocks = -(-len(values) // size)
    padded = np.zeros(blocks * size)
    padded[: len(values)] = values
    scale = keep ** np.arange(size)
    sums = np.cumsum(padded.reshape(blocks, size) / scale, axis=1) * scale
    carry = 0.0
    for block in sums:
        block += carry * keep * scale
        carry = block[-1]
    return np.asarray(sums.ravel()[: len(values)])


def envelope(columns: npt.NDArray[np.int64], values: Floats) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return, for each column that `columns` [n] (ascending) names, its number and its least and greatest value.

    Every spike survives, whatever number of points share a column. Columns of gaps alone are not a number.
    """
    starts = np.flatnonzero(np.r_[True, columns[1:] != columns[:-1]]) if len(columns) else np.empty(0, np.int64)
    if not len(starts):
        return columns, values, values
    return columns[starts], np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)

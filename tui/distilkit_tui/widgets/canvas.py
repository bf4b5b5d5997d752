"""Dots of braille: eight to a character, drawn over one another without mixing."""

import numpy as np
import numpy.typing as npt

from distilkit_tui.core.series import Floats, envelope

# The bits of each dot of a character, four rows of two.
BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
# side, first row, row behind the last -> the bits of the dots between
RUNS = np.array(
    [[[sum(bits[side] for bits in BITS[low:high]) for high in range(5)] for low in range(5)] for side in (0, 1)],
    dtype=np.uint8,
)


class Canvas:
    """`rows` x `columns` characters; the last thing drawn in a character owns it, so colours never spill."""

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.glyphs = np.zeros((rows, columns), dtype=np.uint32)
        self.owners = np.full((rows, columns), -1, dtype=np.int16)

    @property
    def dots(self) -> tuple[int, int]:
        """How many dots there are: rows, columns."""
        return 4 * self.rows, 2 * self.columns

    def put(self, row: int, column: int, glyph: str, owner: int) -> None:
        """Draw one character; outside of the canvas nothing happens."""
        if 0 <= row < self.rows and 0 <= column < self.columns:
            self.glyphs[row, column], self.owners[row, column] = ord(glyph), owner

    def free(self, row: int, column: int, length: int) -> bool:
        """Return whether `length` characters from a place on are inside and empty."""
        inside = 0 <= row < self.rows and column >= 0 and column + length <= self.columns
        return bool(inside and (self.glyphs[row, column : column + length] == 0).all())

    def spans(self, columns: npt.NDArray[np.int64], low: Floats, high: Floats, owner: int) -> None:
        """Fill dots `low` to `high` (rows of dots from the top, both [n]) of the dot columns `columns` [n]."""
        if not len(columns):
            return
        _, width = self.dots
        seen = (columns >= 0) & (columns < width)
        columns, low, high = columns[seen], low[seen], high[seen]
        tops = 4 * np.arange(self.rows)[:, None]
        first = np.clip(np.floor(low + 0.5).astype(np.int64) - tops, 0, 4)
        behind = np.clip(np.floor(high + 0.5).astype(np.int64) + 1 - tops, 0, 4)
        bits = np.zeros((self.rows, width), dtype=np.uint8)
        bits[:, columns] = RUNS[columns % 2, first, behind]
        cells = bits[:, ::2] | bits[:, 1::2]
        drawn = cells > 0
        self.glyphs[drawn] = 0x2800 + cells[drawn].astype(np.uint32)
        self.owners[drawn] = owner

    def line(self, x: Floats, y: Floats, owner: int) -> None:
        """Join points by a line; `x` [n] ascending and `y` [n] in dots, from the left and the top; NaN is a gap."""
        inside = np.isfinite(x)
        columns, edges = np.floor(x[inside] + 0.5).astype(np.int64), y[inside]
        if not len(columns):
            return
        numbers, low, high = envelope(columns, edges)
        first = np.searchsorted(columns, numbers)
        start, end = edges[first], edges[np.append(first[1:], len(edges)) - 1]
        self.spans(*_joined(numbers, low, high, start, end), owner)


def _joined(
    numbers: npt.NDArray[np.int64], low: Floats, high: Floats, start: Floats, end: Floats
) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Fill the columns between samples, and let the spans of neighbours meet half way."""
    drawn = np.isfinite(low)
    every = np.arange(numbers[0], numbers[-1] + 1)
    at = np.searchsorted(numbers, every, side="right") - 1
    nearest = np.minimum(at + 1, len(numbers) - 1)
    exact = numbers[at] == every
    share = (every - numbers[at]) / np.maximum(numbers[nearest] - numbers[at], 1)
    between = end[at] + share * (start[nearest] - end[at])  # a gap at either end is one all the way
    low_all, high_all = np.where(exact, low[at], between), np.where(exact, high[at], between)
    meet = (low_all[1:] + high_all[:-1]) / 2  # the one before is above: y grows downwards
    above = low_all[1:] > high_all[:-1]
    other = (high_all[1:] + low_all[:-1]) / 2
    below = high_all[1:] < low_all[:-1]
    high_joined, low_joined = high_all.copy(), low_all.copy()
    high_joined[:-1][above] = np.maximum(high_joined[:-1][above], np.floor(meet[above]))
    low_joined[1:][above] = np.minimum(low_joined[1:][above], np.ceil(meet[above]))
    low_joined[:-1][below] = np.minimum(low_joined[:-1][below], np.ceil(other[below]))
    high_joined[1:][below] = np.maximum(high_joined[1:][below], np.floor(other[below]))
    finite = np.isfinite(low_joined) & (drawn[at] | ~exact)
    return every[finite], low_joined[finite], high_joined[finite]

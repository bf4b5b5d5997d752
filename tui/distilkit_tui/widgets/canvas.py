"""Dots of braille, eight to a character, and the lines, points and bars that are drawn with them."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from distilkit_tui.core.history import Floats
from distilkit_tui.core.text import safe
from distilkit_tui.widgets.plot import Axis, Curve, Plot

Columns = npt.NDArray[np.int64]

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
# Who owns the characters of dotted lines.
LINES = -2
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

    def spans(self, columns: Columns, low: Floats, high: Floats, owner: int) -> None:
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


def _joined(numbers: Columns, low: Floats, high: Floats, start: Floats, end: Floats) -> tuple[Columns, Floats, Floats]:
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


def envelope(columns: Columns, values: Floats) -> tuple[Columns, Floats, Floats]:
    """Return, for each column that `columns` [n] (ascending) names, its number and its least and greatest value.

    Every spike survives, whatever number of points share a column. Columns of gaps alone are not a number.
    """
    starts = np.flatnonzero(np.r_[True, columns[1:] != columns[:-1]]) if len(columns) else np.empty(0, np.int64)
    if not len(starts):
        return columns, values, values
    return columns[starts], np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)


def paint(canvas: Canvas, plot: Plot, curves: Sequence[Curve], x: Axis, y: Axis) -> None:
    """Draw curves on a canvas, the last one on top; each owns its characters by its number, dotted lines by LINES."""
    height, width = canvas.dots
    for level in plot.lines:
        columns = np.arange(0, width, 4)
        at = np.full(len(columns), (1 - y.place(level)) * (height - 1))
        canvas.spans(columns, at, at, LINES)
    places = [(x.place(curve.x) * (width - 1), (1 - y.place(curve.y)) * (height - 1)) for curve in curves]
    for number, (curve, (across, down)) in enumerate(zip(curves, places, strict=True)):
        if curve.kind == "bars":
            _bars(canvas, across, down, float(1 - y.place(0.0)) * (height - 1), number)
        alone = np.isfinite(curve.y).sum() == 1
        if curve.kind == "line" and not alone:
            canvas.line(across, down, number)
        if glyph := curve.glyph or ("●" if curve.kind == "points" or alone else ""):
            for row, column, text in _cells(across, down, glyph * len(across)):
                canvas.put(row, column, text, number)
    for number, (curve, letter, (across, down)) in enumerate(zip(curves, letters(curves), places, strict=True)):
        if letter:
            last = np.flatnonzero(np.isfinite(curve.y))[-1:]
            for row, column, text in _cells(across[last], down[last], letter):
                while column > 0 and chr(int(canvas.glyphs[row, column])) in ALPHABET:  # of one that ends here too
                    column -= 1
                canvas.put(row, column, text, number)
        if curve.labels:
            for row, column, text in _cells(across, down, curve.labels):
                _label(canvas, row, column, safe(text), number)


def letters(curves: Sequence[Curve]) -> list[str]:
    """Return the letter of each curve that is one of several lines, the one on top first in the alphabet."""
    lines = [place for place, curve in enumerate(curves) if curve.kind == "line" and not curve.dim][::-1]
    found = dict(zip(lines, ALPHABET, strict=False)) if len(lines) > 1 else {}
    return [found.get(place, "") for place in range(len(curves))]


def _cells(across: Floats, down: Floats, texts: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the row and column of each point's character with what is written there; a gap has none."""
    for column, row, text in zip(across.tolist(), down.tolist(), texts, strict=True):
        if math.isfinite(row) and math.isfinite(column):
            yield int(row) // 4, int(column) // 2, text


def _bars(canvas: Canvas, across: Floats, down: Floats, zero: float, owner: int) -> None:
    """Fill from zero to each point, as wide as there is room; of many in a dot's column the longest on either side."""
    finite = np.isfinite(down) & np.isfinite(across)
    order = np.argsort(across[finite], kind="stable")
    x, y = across[finite][order], down[finite][order]
    columns, low, high = envelope(np.floor(x + 0.5).astype(np.int64), y)
    every = np.arange(columns[0], columns[-1] + 1)
    nearest = np.searchsorted((columns[1:] + columns[:-1]) / 2, every)
    canvas.spans(every, np.minimum(low[nearest], zero), np.maximum(high[nearest], zero), owner)


def _label(canvas: Canvas, row: int, column: int, text: str, owner: int) -> None:
    """Write a point's label to its right, left, above or below, wherever nothing is written yet."""
    length = len(text)
    spots = [(row, column + 2), (row, column - 1 - length)]
    spots += [(row + d, column - length // 2) for d in (-1, 1)] + [(row + d, column + 2) for d in (-1, 1, -2, 2)]
    for spot in spots:
        if canvas.free(*spot, length):
            for offset, character in enumerate(text):
                canvas.put(spot[0], spot[1] + offset, character, owner)
            return

"""Lines, points and bars on a canvas, with what is written beside them."""

import numpy as np

from distilkit_tui.core.series import Floats, envelope
from distilkit_tui.core.text import safe
from distilkit_tui.widgets.axis import Axis
from distilkit_tui.widgets.canvas import Canvas
from distilkit_tui.widgets.legend import ALPHABET, letters
from distilkit_tui.widgets.plot import Curve, Plot

# Who owns the characters of dotted lines.
LINES = -2


def paint(canvas: Canvas, plot: Plot, curves: list[Curve], x: Axis, y: Axis) -> None:
    """Draw curves on a canvas, the last one on top; each owns its characters by its number, dotted lines by LINES."""
    height, width = canvas.dots
    for level in plot.lines:
        row = (1 - float(y.place(np.array([level]))[0])) * (height - 1)
        columns = np.arange(0, width, 4)
        canvas.spans(columns, np.full(len(columns), row), np.full(len(columns), row), LINES)
    for number, curve in enumerate(curves):
        across, down = x.place(curve.x) * (width - 1), (1 - y.place(curve.y)) * (height - 1)
        if curve.kind == "bars":
            zero = (1 - float(y.place(np.array([0.0]))[0])) * (height - 1)
            _bars(canvas, across, down, zero, number)
        alone = np.isfinite(curve.y).sum() == 1
        if curve.kind == "line" and not alone:
            canvas.line(across, down, number)
        glyph = curve.glyph or ("●" if curve.kind == "points" or alone else "")
        if glyph:
            _glyphs(canvas, across, down, glyph, number)
    for number, (curve, letter) in enumerate(zip(curves, letters(curves), strict=True)):
        if letter:
            _end_letter(canvas, x, y, curve, letter, number)
        if curve.labels:
            _labels(canvas, curve, x, y, number)


def _bars(canvas: Canvas, across: Floats, down: Floats, zero: float, owner: int) -> None:
    """Fill from zero to each point, as wide as there is room; of many in a dot's column the longest on either side."""
    finite = np.isfinite(down) & np.isfinite(across)
    order = np.argsort(across[finite], kind="stable")
    x, y = across[finite][order], down[finite][order]
    columns, low, high = envelope(np.floor(x + 0.5).astype(np.int64), y)
    every = np.arange(columns[0], columns[-1] + 1)
    nearest = np.searchsorted((columns[1:] + columns[:-1]) / 2, every)
    canvas.spans(every, np.minimum(low[nearest], zero), np.maximum(high[nearest], zero), owner)


def _glyphs(canvas: Canvas, across: Floats, down: Floats, glyph: str, owner: int) -> None:
    for column, row in zip(across, down, strict=True):
        if np.isfinite(row) and np.isfinite(column):
            canvas.put(int(row) // 4, int(column) // 2, glyph, owner)


def _end_letter(canvas: Canvas, x: Axis, y: Axis, curve: Curve, letter: str, owner: int) -> None:
    """Write a curve's letter at its last point, or beside those of others that end there too."""
    height, width = canvas.dots
    last = int(np.flatnonzero(np.isfinite(curve.y))[-1])
    across = x.place(curve.x[last : last + 1])[0] * (width - 1)
    down = (1 - y.place(curve.y[last : last + 1])[0]) * (height - 1)
    if not (np.isfinite(across) and np.isfinite(down)):
        return
    row, column = int(down) // 4, int(across) // 2
    while column > 0 and chr(int(canvas.glyphs[row, column])) in ALPHABET:
        column -= 1
    canvas.put(row, column, letter, owner)


def _labels(canvas: Canvas, curve: Curve, x: Axis, y: Axis, owner: int) -> None:
    """Write each point's label to its right, left, above or below, wherever nothing is written yet."""
    height, width = canvas.dots
    places = zip(x.place(curve.x) * (width - 1), (1 - y.place(curve.y)) * (height - 1), curve.labels, strict=True)
    for across, down, label in places:
        if not (np.isfinite(across) and np.isfinite(down)):
            continue
        row, column, text = int(down) // 4, int(across) // 2, safe(label)
        length = len(text)
        spots = [(row, column + 2), (row, column - 1 - length)]
        spots += [(row + d, column - length // 2) for d in (-1, 1)] + [(row + d, column + 2) for d in (-1, 1, -2, 2)]
        for spot in spots:
            if canvas.free(spot[0], spot[1], length):
                for offset, character in enumerate(text):
                    canvas.put(spot[0], spot[1] + offset, character, owner)
                break

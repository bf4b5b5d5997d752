"""A chart of lines, points or bars in braille, fast enough for fifty curves of five thousand points at every tick."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from distilkit_tui.core.text import fit, safe
from distilkit_tui.themes import series_colours
from distilkit_tui.widgets.axis import Axis, figure
from distilkit_tui.widgets.canvas import Canvas
from distilkit_tui.widgets.legend import DIM, heading
from distilkit_tui.widgets.paint import LINES, paint
from distilkit_tui.widgets.plot import Curve, Plot


class Chart(Widget, can_focus=False):
    """Shows a Plot: `chart.show(Plot("loss", (Curve("hard", steps, values),)))`."""

    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 4; background: $surface; color: $foreground; }
    """

    def __init__(self, plot: Plot | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.plot = plot or Plot()
        self._strips: list[Strip] = []
        self._drawn: tuple[object, ...] = ()

    def show(self, plot: Plot) -> None:
        """Show another plot, at the next repaint."""
        self.plot = plot
        self._drawn = ()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one line; all are drawn at once and kept until plot, size or theme change."""
        style = self.rich_style
        now = (self.size, style, self.app.current_theme.dark)
        if now != self._drawn:
            colours = [Style.parse(colour) for colour in series_colours(self.app.current_theme.dark)]
            self._strips = draw(self.plot, self.size.width, self.size.height, style, colours)
            self._drawn = now
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, style)


def draw(plot: Plot, width: int, height: int, style: Style, colours: Sequence[Style]) -> list[Strip]:
    """Return a plot's lines of text, `height` of them, each `width` cells wide."""
    blank = Strip.blank(width, style)
    if width < 12 or height < 4:
        return [Strip([Segment(fit(safe(plot.title), width), style)])] + [blank] * (height - 1)
    finite = [replace(curve, y=np.where(np.isfinite(curve.y), curve.y, np.nan)) for curve in plot.curves]
    curves = [curve for curve in finite if not np.isnan(curve.y).all()]
    top = heading(plot, curves, width, style, colours)
    if not curves:
        note = Strip([Segment(fit(f"  {plot.note}", width), style + DIM)])
        return [top, note, *[blank] * (height - 2)]
    x = Axis.around([*(curve.x for curve in curves), np.array(plot.x_also)], plot.log_x)
    heights = [curve.y for curve in curves] + ([np.array(plot.lines)] if plot.lines else [])
    y = Axis.around(heights, plot.log_y, plot.zero or any(curve.kind == "bars" for curve in curves))
    rows = height - 2
    ticks = _y_ticks(y, rows)
    margin = max(cell_len(text) for text in ticks.values()) if ticks else 0
    canvas = Canvas(rows, width - margin - 1)
    paint(canvas, plot, curves, x, y)
    styles = _styles(curves, style, colours)
    lines = [top]
    for row in range(rows):
        label = fit(ticks.get(row, ""), margin, "right") + ("┤" if row in ticks else "│")
        lines.append(Strip([Segment(label, style + DIM), *_segments(canvas, row, styles)]))
    lines.append(_x_axis(plot, x, margin + 1, width, style))
    return lines


def _segments(canvas: Canvas, row: int, styles: dict[int, Style]) -> list[Segment]:
    segments = []
    cells = zip(canvas.owners[row].tolist(), canvas.glyphs[row].tolist(), strict=True)
    for owner, group in groupby(cells, key=lambda cell: cell[0]):
        segments.append(Segment("".join(chr(glyph) if glyph else " " for _, glyph in group), styles[owner]))
    return segments


def _styles(curves: list[Curve], style: Style, colours: Sequence[Style]) -> dict[int, Style]:
    """Return the style of each owner of characters: nobody, dotted lines, curves."""
    own = [colours[curve.colour % len(colours)] + (DIM if curve.dim else Style.null()) for curve in curves]
    return {-1: style, LINES: style + DIM} | {number: style + one for number, one in enumerate(own)}


def _y_ticks(axis: Axis, rows: int) -> dict[int, str]:
    values = axis.ticks(max(2, rows // 2))
    step = 0.0 if axis.log else (values[1] - values[0] if len(values) > 1 else 0.0)
    found: dict[int, str] = {}
    for value in values:
        row = int((1 - float(axis.place(np.array([value]))[0])) * (4 * rows - 1)) // 4
        found.setdefault(min(max(row, 0), rows - 1), figure(value, step))
    return found


def _x_axis(plot: Plot, axis: Axis, margin: int, width: int, style: Style) -> Strip:
    """Return the line below: the axis's name on the left, its values at their places, all of them or none."""
    room = width - margin
    cells = [" "] * width
    label = safe(plot.x_label)
    values = axis.ticks(max(2, room // 10))
    step = 0.0 if axis.log else (values[1] - values[0] if len(values) > 1 else 0.0)
    taken = -1
    for value in values:
        text = plot.x_figure(value) if plot.x_figure is not figure else figure(value, step)
        place = margin + int(float(axis.place(np.array([value]))[0]) * (room - 1))
        start = min(max(place - len(text) // 2, 0), width - len(text))
        if start > taken:
            cells[start : start + len(text)] = text
            taken = start + len(text)
    if label and taken + 1 + len(label) <= width:
        cells[width - len(label) :] = label
    return Strip([Segment("".join(cells), style + DIM)])

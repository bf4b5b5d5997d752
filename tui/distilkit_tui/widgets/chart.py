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

from distilkit.run_folders.names import fitted
from distilkit_tui.core.text import figure, fit, safe
from distilkit_tui.themes import series_colours
from distilkit_tui.widgets.canvas import LINES, Canvas, letters, paint
from distilkit_tui.widgets.plot import Axis, Curve, Plot

DIM, BOLD = Style(dim=True), Style(bold=True)


class Chart(Widget, can_focus=False):
    """Shows a Plot: `chart.show(Plot("loss", (Curve("hard", steps, values),)))`."""

    DEFAULT_CSS = """
    Chart { height: 1fr; min-height: 4; background: $surface; color: $foreground; }
    """

    def __init__(self, plot: Plot | None = None, id: str | None = None) -> None:
        super().__init__(id=id)
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
    own = [colours[curve.colour % len(colours)] for curve in curves]
    top = _heading(plot, curves, width, style, own)
    if not curves:
        note = Strip([Segment(fit(f"  {plot.note}", width), style + DIM)])
        return [top, note, *[blank] * (height - 2)]
    x = Axis.around([*(curve.x for curve in curves), np.array(plot.x_also)], plot.log_x)
    heights = [*(curve.y for curve in curves), np.array(plot.lines)]
    y = Axis.around(heights, plot.log_y, plot.zero or any(curve.kind == "bars" for curve in curves))
    rows = height - 2
    ticks: dict[int, str] = {}
    for share, text in y.marks(max(2, rows // 2)):
        ticks.setdefault(min(max(int((1 - share) * (4 * rows - 1)) // 4, 0), rows - 1), text)
    margin = max(map(cell_len, ticks.values()))
    canvas = Canvas(rows, width - margin - 1)
    paint(canvas, plot, curves, x, y)
    styles = {-1: style, LINES: style + DIM}
    styles |= {number: style + one + DIM if curves[number].dim else style + one for number, one in enumerate(own)}
    lines = [top]
    for row in range(rows):
        label = fit(ticks.get(row, ""), margin, "right") + ("┤" if row in ticks else "│")
        lines.append(Strip([Segment(label, style + DIM), *_segments(canvas, row, styles)]))
    return [*lines, _x_axis(plot, x, margin + 1, width, style)]


def _segments(canvas: Canvas, row: int, styles: dict[int, Style]) -> list[Segment]:
    segments = []
    cells = zip(canvas.owners[row].tolist(), canvas.glyphs[row].tolist(), strict=True)
    for owner, group in groupby(cells, key=lambda cell: cell[0]):
        segments.append(Segment("".join(chr(glyph) if glyph else " " for _, glyph in group), styles[owner]))
    return segments


def _x_axis(plot: Plot, axis: Axis, margin: int, width: int, style: Style) -> Strip:
    """Return the line below: values at their places, none over another, and the axis's name on the right."""
    room = width - margin
    cells = [" "] * width
    taken = -1
    for share, text in axis.marks(max(2, room // 10), plot.x_figure):
        start = min(max(margin + int(share * (room - 1)) - len(text) // 2, 0), width - len(text))
        if start > taken:
            cells[start : start + len(text)] = text
            taken = start + len(text)
    label = safe(plot.x_label)
    if label and taken + 1 + len(label) <= width:
        cells[width - len(label) :] = label
    return Strip([Segment("".join(cells), style + DIM)])


def _heading(plot: Plot, curves: list[Curve], width: int, style: Style, colours: Sequence[Style]) -> Strip:
    """Return title and legend, the curve on top first; without last values, or cut, where there are many."""
    title = safe(plot.title)
    segments = [Segment(fit(f" {title} ", min(width, cell_len(title) + 2)), style + BOLD)]
    room = width - segments[0].cell_length
    signed = zip(curves, letters(curves), colours, strict=True)
    named = [(_sign(curve, letter), curve, colour) for curve, letter, colour in signed if not curve.dim][::-1]
    names = [safe(curve.name) for _, curve, _ in named]
    texts = [_entry(sign, curve, name, True) for (sign, curve, _), name in zip(named, names, strict=True)]
    for longest in (80, 24, 12):
        if sum(map(cell_len, texts)) > room:
            cut = fitted(names, longest)  # the ends that differ stay
            texts = [_entry(sign, curve, cut[name], False) for (sign, curve, _), name in zip(named, names, strict=True)]
    for number, (text, (_, _, colour)) in enumerate(zip(texts, named, strict=True)):
        left = len(texts) - number
        if cell_len(text) > room - (4 if left > 1 else 0):
            segments.append(Segment(fit(f" +{left}", max(room, 0)), style + DIM))
            break
        segments.append(Segment(text, style + colour))
        room -= cell_len(text)
    return Strip(segments).adjust_cell_length(width, style)


def _sign(curve: Curve, letter: str) -> str:
    """Return what stands for a curve in the legend: its letter, drawn at its end, or how it is drawn."""
    return letter or curve.glyph or {"line": "─", "points": "●", "bars": "▌"}[curve.kind]


def _entry(sign: str, curve: Curve, name: str, value: bool) -> str:
    last = figure(float(curve.y[np.isfinite(curve.y)][-1])) if value and curve.kind == "line" else ""
    return f" {' '.join(filter(None, (sign, name, last)))} "

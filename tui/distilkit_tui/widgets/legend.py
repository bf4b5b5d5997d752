"""The line above a chart: its title, and which curve is which."""

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from distilkit_tui.core.text import fit, safe, short
from distilkit_tui.widgets.axis import figure
from distilkit_tui.widgets.plot import Curve, Plot

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
DIM, BOLD = Style(dim=True), Style(bold=True)


def heading(plot: Plot, curves: list[Curve], width: int, style: Style, colours: Sequence[Style]) -> Strip:
    """Return title and legend, the curve on top first; without last values, or cut, where there are many."""
    segments = [Segment(fit(f" {safe(plot.title)} ", min(width, cell_len(safe(plot.title)) + 2)), style + BOLD)]
    room = width - segments[0].cell_length
    signed = zip(curves, letters(curves), strict=True)
    named = [(_sign(curve, letter), curve) for curve, letter in signed if not curve.dim][::-1]
    texts = [_entry(sign, curve, True) for sign, curve in named]
    for longest in (80, 24, 12):
        if sum(map(cell_len, texts)) > room:
            texts = [_entry(sign, curve, False, longest) for sign, curve in named]
    for number, (text, (_, curve)) in enumerate(zip(texts, named, strict=True)):
        left = len(texts) - number
        if cell_len(text) > room - (4 if left > 1 else 0):
            segments.append(Segment(fit(f" +{left}", max(room, 0)), style + DIM))
            break
        segments.append(Segment(text, style + colours[curve.colour % len(colours)]))
        room -= cell_len(text)
    return Strip(segments).adjust_cell_length(width, style)


def _entry(sign: str, curve: Curve, value: bool, longest: int = 80) -> str:
    last = figure(float(curve.y[np.isfinite(curve.y)][-1])) if value and curve.kind == "line" else ""
    return f" {' '.join(filter(None, (sign, short(safe(curve.name), longest), last)))} "


def _sign(curve: Curve, letter: str) -> str:
    """Return what stands for a curve in the legend: its letter, drawn at its end, or how it is drawn."""
    return letter or curve.glyph or {"line": "─", "points": "●", "bars": "▌"}[curve.kind]


def letters(curves: Sequence[Curve]) -> list[str]:
    """Return the letter of each curve that is one of several lines, the one on top first in the alphabet."""
    lines = [place for place, curve in enumerate(curves) if curve.kind == "line" and not curve.dim][::-1]
    found = dict(zip(lines, ALPHABET, strict=False)) if len(lines) > 1 else {}
    return [found.get(place, "") for place in range(len(curves))]

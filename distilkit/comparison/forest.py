"""The forest plot: a line a system with its difference to the baseline, its intervals, and the margin as a band."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from distilkit.comparison.answer import Answer, ForestLine

POINT, DECIDES, INTERVAL, BAND, ZERO = "●", "━", "─", "░", "│"
"""The characters of a difference, of the interval that decides non-inferiority, of the other one, of the margin
and of no difference."""
CUT = ("◂", "▸")
"""Stand at the end of a line that goes on beyond the plot."""
ROLES = {POINT: "point", DECIDES: "decides", INTERVAL: "interval", BAND: "band", ZERO: "zero", " ": "empty"}
ROLES |= dict.fromkeys(CUT, "cut")
SIGNS = {role: 2 * sign for sign, role in ROLES.items()} | {"cut": "".join(CUT)}
"""What a legend shows of each role."""
DRAWN = {"decides": "thick", "interval": "thin", "band": "grey", "cut": "triangle"}
"""What it says of those that are drawn with lines."""
_MANY = 8
"""From this many lines on, the two fifths that reach farthest may be cut, where that halves the plot's scale."""


@dataclass(frozen=True)
class Scale:
    """The differences that a plot shows, from its left edge to its right."""

    low: float
    high: float

    def share(self, value: float) -> float:
        """Return where a value lies, 0 at the left edge and 1 at the right; one beyond an edge lies at it."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def scale(answer: Answer) -> Scale:
    """Return the scale of a plot: it holds zero, the margin and all lines, or of many lines those nearest to zero."""
    ends = sorted((line.ends for line in answer.forest), key=lambda both: max(-both[0], both[1]))
    full = _span(answer, ends)
    near = _span(answer, ends[: len(ends) - 2 * len(ends) // 5]) if len(ends) >= _MANY else full
    low, high = near if full[1] - full[0] > 2 * (near[1] - near[0]) else full
    space = 0.04 * (high - low) or 0.01
    return Scale(low - space, high + space)


def _span(answer: Answer, ends: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(answer.margin_low, *(low for low, _ in ends)), max(0.0, *(high for _, high in ends))


def drawn(answer: Answer, line: ForestLine, within: Scale, width: int) -> str:
    """Return a system's line in characters."""

    def place(value: float) -> int:
        return round(within.share(value) * (width - 1))

    def draw(low: float | None, high: float | None, sign: str) -> None:
        if low is not None and high is not None:
            for at in range(place(low), place(high) + 1):
                cells[at] = sign

    cells = [" "] * width
    draw(answer.margin_low, 0.0, BAND)
    cells[place(0.0)] = ZERO
    draw(line.ci_low, line.ci_high, INTERVAL)
    draw(line.margin_low, line.margin_high, DECIDES)
    cells[place(line.difference)] = POINT
    left, right = beyond(line, within)
    if left:
        cells[0] = CUT[0]
    if right:
        cells[-1] = CUT[1]
    return "".join(cells)


def beyond(line: ForestLine, within: Scale) -> tuple[bool, bool]:
    """Return whether a system's line goes on beyond the left edge of the plot, and beyond its right edge."""
    low, high = line.ends
    return low < within.low, high > within.high


def is_cut(answer: Answer) -> bool:
    """Return whether any line goes on beyond the plot."""
    within = scale(answer)
    return any(any(beyond(line, within)) for line in answer.forest)


def axis(answer: Answer, within: Scale, width: int) -> str:
    """Return the numbers below the lines: the edges, zero and the margin, as far as they have room."""
    cells = [" "] * width
    for value in (0.0, within.low, within.high, answer.margin_low):
        text = "0" if value == 0 else f"{value:+.2g}"
        start = min(width - len(text), max(0, round(within.share(value) * (width - 1)) - len(text) // 2))
        if start >= 0 and all(one == " " for one in cells[max(0, start - 1) : start + len(text) + 1]):
            cells[start : start + len(text)] = text
    return "".join(cells)


def segments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of a drawn line, each with its role: point, decides, interval, band, zero, cut or empty."""
    for role, piece in groupby(text, key=ROLES.__getitem__):
        yield "".join(piece), role

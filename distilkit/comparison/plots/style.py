"""How all plots look: colours of Okabe and Ito, with a marker and a line of each system's own, readable in print."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distilkit.comparison.wording import labels, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000",
)  # fmt: skip
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BLACK)
"""All but the yellow, which paper hardly shows."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*", "p")
LINES = ("-", "--", "-.", ":")
PANELS = 12
"""Small multiples of more systems than this show the first ones alone."""
NAME = 34

_LOOK: dict[str, Any] = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    # A name is a name, whatever dollar signs it holds.
    "text.parse_math": False,
}


@contextmanager
def look(salt: str) -> Iterator[None]:
    """Set the look for a block; `salt` keeps the ids of several drawings on one page apart."""
    with only({**_LOOK, "svg.hashsalt": salt}):
        yield


@contextmanager
def only(settings: Any) -> Iterator[None]:
    """Set a table of matplotlib's settings for a block, and all others to its own defaults.

    It reads a file matplotlibrc of the working folder, which can ask for programs to be run, such as LaTeX.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def figure(width: float = 6.4, height: float = 4.0) -> "Figure":
    """Return an empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def panels(count: int, height: float = 1.7) -> "tuple[Figure, list[Axes]]":
    """Return a figure with a panel for each of some systems, up to three in a row."""
    columns = min(3, count)
    rows = -(-count // columns)
    made = figure(3.2 * columns, height * rows + 0.3)
    grid = made.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[count:]:
        spare.set_visible(False)
    return made, axes[:count]


def of(place: int) -> dict[str, Any]:
    """Return colour, marker and line of the system at a place; no two of the first 70 have all three in common."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place // len(COLOURS) % len(LINES)],
    }


def named(text: str, among: Iterable[str] = ()) -> str:
    """Return a system's name as a label: less what it shares with the others of its suite, short where it is long."""
    text = visible(labels(among).get(text, text))
    return text if len(text) <= NAME else f"{text[: NAME // 2]}…{text[-(NAME // 2) :]}"


def logarithmic(axes: "Axes") -> None:
    """Make the axis across logarithmic, its labels plain numbers."""
    from matplotlib.ticker import LogFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(LogFormatter(minor_thresholds=(1, 0.4)))
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))


def legend(axes: "Axes", count: int) -> None:
    """Put a legend beside the axes, in as many columns as the number of entries asks for."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=-(-count // 20))

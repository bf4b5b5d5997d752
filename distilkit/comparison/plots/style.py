"""How all plots look: colours of Okabe and Ito, with a marker and a line of each system's own, readable in print."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.wording import visible
from distilkit.run_folders.names import fitted

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
SHOWN = 12
"""Of more systems than this, plots name those that matter."""
REST = "#bbbbbb"
NAME = 48

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
    "savefig.bbox": "tight",
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    # A name is a name, whatever dollar signs it holds.
    "text.parse_math": False,
}


def of_first_seed(result: ComparisonResult, axis: str) -> str:
    """Return what an axis says that shows one seed alone, where systems have several."""
    return f"{axis} (first seed)" if any(one.seeds > 1 for one in result.sources) else axis


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
    """Return a figure with a panel for each of some systems, up to three in a row, all on one scale up."""
    columns = min(3, count)
    rows = -(-count // columns)
    made = figure(3.2 * columns, height * rows + 0.3)
    grid = made.subplots(rows, columns, squeeze=False, sharey=True)
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


def chosen(result: ComparisonResult, names: Iterable[str], first: Sequence[str] = ()) -> list[str]:
    """Return, the best first, those of some systems that a plot names.

    They are the baselines, the best, the recommended one, then `first`, and of the others as many as there is room for.
    """
    given = set(names)
    there = [name for name in result.ranking if name in given]
    answer = result.answer
    told = [*result.baselines[:3], *([answer.best, answer.recommended] if answer is not None else [])]
    kept = [name for name in dict.fromkeys([*told, *first, *there]) if name in there][:SHOWN]
    return [name for name in there if name in kept]


def left_out(figure: "Figure", shown: int, count: int, how: str = "not shown") -> None:
    """Write below a figure how many systems it leaves out, or does not name."""
    if shown < count:
        text = f"The baselines and the best of {count} systems; the other {count - shown} are {how}."
        figure.text(0.01, -0.01, text, fontsize=7, color="#555555", va="top")


def named(text: str) -> str:
    """Return a system's short name as a label; the middle of one that is still long is left out."""
    text = visible(text)
    return fitted([text], NAME)[text]


def logarithmic(axes: "Axes") -> None:
    """Make the axis across logarithmic, its labels plain numbers."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Numbers below 1 as decimals too, where matplotlib writes 6e-01."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:,.10g}" if super().__call__(x, pos) else ""

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(Plain(minor_thresholds=(1, 0.4)))
    axes.xaxis.set_minor_formatter(Plain(minor_thresholds=(1, 0.4)))
    axes.tick_params(axis="x", which="both", length=3.5, pad=3.5)  # all labels on one line


def legend(axes: "Axes", count: int) -> None:
    """Put a legend beside the axes, in as many columns as the number of entries asks for."""
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), ncols=-(-count // 20))

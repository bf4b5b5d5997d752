"""Plots of a comparison: `save(result, folder)` writes each that there are data for, as PNG, SVG and PDF."""

import io
import re
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit.comparison.plots import curves, distributions, effectiveness, forest, style
from distilkit.comparison.result import ComparisonResult
from distilkit.errors import UserError
from distilkit.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")

PLOTS: dict[str, tuple[str, Callable[[ComparisonResult], "Figure | None"]]] = {
    "forest": ("Differences to the baseline", forest.draw_forest),
    "frontier": ("Effectiveness against cost", effectiveness.draw_frontier),
    "waterfall": ("Differences by query", effectiveness.draw_waterfall),
    "learning-curves": ("Learning curves", curves.draw_validation),
    "training-data": ("Effectiveness by training examples", curves.draw_examples),
    "training-scores": ("Scores in training", curves.draw_training_scores),
    "scores": ("Scores", distributions.draw_scores),
    "margins": ("Margins between relevant and other results", distributions.draw_margins),
}
"""Name -> title and function that draws, or returns None where there are no data."""


def save(result: ComparisonResult, folder: Path) -> list[Path]:
    """Write each plot that there are data for, as PNG, SVG and PDF, and return the files.

    Raises UserError where the folder cannot be written.
    """
    written = []
    try:
        for name, drawn in _drawn(result):
            for format_ in FORMATS:
                path = folder / f"{name}.{format_}"
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    file.write(_bytes(drawn, format_))
                written.append(path)
    except OSError as error:
        raise UserError(f"--plots {folder}: cannot be written: {error.strerror}") from None
    return written


def inline(result: ComparisonResult, without: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield title and SVG element of each plot that there are data for, but for some, to be put into a page."""
    for name, drawn in _drawn(result, without):
        yield PLOTS[name][0], _element(_bytes(drawn, "svg").decode())


def _element(text: str) -> str:
    """Return the svg element of a file, without metadata and without ids that nothing refers to."""
    text = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", text, flags=re.DOTALL).strip()
    used = set(re.findall(r"#([\w.-]+)", text))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)


def _drawn(result: ComparisonResult, without: Collection[str] = ()) -> "Iterator[tuple[str, Figure]]":
    for name, (_, draw) in PLOTS.items():
        if name in without:
            continue
        with style.look(name), _any_letter():
            drawn = draw(result)
            if drawn is not None:
                # The layout is the slow part: it is found once for all formats.
                drawn.draw_without_rendering()
                drawn.set_layout_engine("none")
                yield name, drawn


def _bytes(drawn: "Figure", format_: str) -> bytes:
    # No date: equal results are equal files.
    without = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    out = io.BytesIO()
    drawn.savefig(out, format=format_, metadata=without[format_])
    return out.getvalue()


@contextmanager
def _any_letter() -> Iterator[None]:
    """Silence warnings about characters that the font lacks: the plot shows a box, the tables have the name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield

"""The audit's figure: the range of scores and the distribution of margins, as in figures 1 and 3 of Margin-MSE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.files import atomic_path

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

BINS = 60
FORMATS = ("png", "svg")


def plot_audit(scores: Mapping[str, Floats], triples: Integers | None, output: Path) -> list[Path]:
    """Draw the figure into OUTPUT.audit.png and OUTPUT.audit.svg and return their paths.

    Args:
        scores: by system, the raw score of each pair, shape ``[pairs]``
        triples: the pairs of positives and negatives, shape ``[2, triples]``, or None for scores alone
        output: the file of the scores
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    panels = 1 if triples is None else 2
    # Room for every box, of which there is one per system and side.
    figure = Figure(figsize=(5 * panels, max(4, 0.6 * len(scores) * panels)), layout="constrained")
    _scores(figure.add_subplot(1, panels, 1), scores, triples)
    if triples is not None:
        _margins(figure.add_subplot(1, panels, 2), scores, triples)
    paths = []
    # Equal scores give equal files: neither a date nor random names in the SVG.
    with rc_context({"svg.hashsalt": "distilkit"}):
        for kind in FORMATS:
            path = output.with_name(f"{output.name}.audit.{kind}")
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            paths.append(path)
    return paths


def _scores(axes: Any, scores: Mapping[str, Floats], triples: Integers | None) -> None:
    """Draw a box per system and side: the range in which each scores."""
    boxes: list[Floats] = []
    labels: list[str] = []
    for name, values in scores.items():
        for side, rows in _sides(triples).items():
            boxes.append(values if rows is None else values[np.asarray(rows)])
            labels.append(_escaped(f"{name}{side}"))
    axes.boxplot(boxes, tick_labels=labels, showfliers=False, whis=(0, 100), orientation="horizontal")
    axes.invert_yaxis()
    axes.set_xlabel("score")
    axes.set_title("Range of scores")


def _margins(axes: Any, scores: Mapping[str, Floats], triples: Integers) -> None:
    """Draw a histogram of margins per system, all on one scale."""
    positive, negative = (np.asarray(side) for side in triples)
    for name, values in scores.items():
        margins = values[positive].astype(np.float64) - values[negative]
        axes.hist(margins, bins=BINS, histtype="step", density=len(np.unique(margins)) > 1, label=_escaped(name))
    axes.axvline(0.0, color="0.7", linewidth=0.8)
    axes.set_xlabel("score of the positive less that of the negative")
    axes.set_ylabel("density")
    axes.set_title("Margins")
    axes.legend()


def _sides(triples: Integers | None) -> dict[str, npt.NDArray[np.int64] | None]:
    return {"": None} if triples is None else {" +": triples[0], " -": triples[1]}


def _escaped(text: str) -> str:
    """Return a text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")

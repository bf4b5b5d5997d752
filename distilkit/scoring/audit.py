"""What teacher scores look like, in figures and drawn: ranges, margins, ties, and whether they can be logits at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.comparison.plots.style import only
from distilkit.data.arrays import Integers
from distilkit.data.teacher_scores.blocks import looks_like_probabilities
from distilkit.files import atomic_path
from distilkit.tables import table

Floats = npt.NDArray[np.float32]

LEVELS = (0.05, 0.5, 0.95)
# Of raw logits nearly all differ in float32; float16 teachers tie a little.
MANY_TIES = 0.1
# Of the figure: bars of a histogram, and file formats.
BINS = 60
FORMATS = ("png", "svg")


@dataclass(frozen=True)
class SystemAudit:
    """One system's scores.

    Attributes:
        quantiles: at 5, 50 and 95 per cent
        ties: the share of pairs that share their exact score with another pair
        at_maximum: the share of pairs that have the highest score
        margins: mean, deviation and quantiles of positive less negative; None without triples
        accuracy: the share of triples whose positive scores higher; ties count as wrong
        equal: the share of triples whose passages score alike
        false_negatives: the triples whose negative scores higher than the positive: it may well be relevant
    """

    name: str
    lowest: float
    highest: float
    mean: float
    deviation: float
    quantiles: tuple[float, ...]
    ties: float
    at_maximum: float
    positives: float | None = None
    negatives: float | None = None
    margins: dict[str, float] | None = None
    accuracy: float | None = None
    equal: float | None = None
    false_negatives: int | None = None


@dataclass(frozen=True)
class Audit:
    """The audits of all systems, and what they warn of."""

    pairs: int
    triples: int
    systems: tuple[SystemAudit, ...]
    warnings: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def to_text(self) -> str:
        """Return it as tables for the terminal."""
        header = ["system", "lowest", "5 %", "median", "95 %", "highest", "ties", "at maximum"]
        rows = [
            [one.name, *_shown(one.lowest, *one.quantiles, one.highest), *_percent(one.ties, one.at_maximum)]
            for one in self.systems
        ]
        parts = [f"Scores of {self.pairs} pairs\n{table(header, rows)}"]
        if self.triples:
            header = ["system", "positives", "negatives", "margin", "deviation", "5 %", "95 %", "accuracy", "equal"]
            rows = [_margin_row(one) for one in self.systems]
            parts.append(f"Margins of {self.triples} triples\n{table(header, rows)}")
        if self.warnings:
            parts.append("\n".join(f"Warning: {warning}" for warning in self.warnings))
        return "\n\n".join(parts)


def audit(scores: Mapping[str, Floats], triples: Integers | None) -> Audit:
    """Return what scores look like.

    Args:
        scores: by system, the raw score of each pair, shape ``[pairs]``
        triples: the pairs of positives and negatives, shape ``[2, triples]``, or None
    """
    systems = tuple(_audit(name, np.asarray(values), triples) for name, values in scores.items())
    warnings = tuple(warning for one in systems for warning in _warnings(one, scores[one.name]))
    count = len(next(iter(scores.values())))
    return Audit(count, 0 if triples is None else triples.shape[1], systems, warnings)


def _audit(name: str, scores: Floats, triples: Integers | None) -> SystemAudit:
    wide = scores.astype(np.float64)
    _, counts = np.unique(scores, return_counts=True)
    sides: dict[str, Any] = {}
    if triples is not None:
        positive, negative = (wide[np.asarray(side)] for side in triples)
        margins = positive - negative
        low, _, high = np.quantile(margins, LEVELS)
        sides = {
            "positives": float(positive.mean()),
            "negatives": float(negative.mean()),
            "margins": {"mean": float(margins.mean()), "deviation": float(margins.std()), "5%": low, "95%": high},
            "accuracy": float((margins > 0).mean()),
            "equal": float((margins == 0).mean()),
            "false_negatives": int((margins < 0).sum()),
        }
        sides["margins"] = {key: float(value) for key, value in sides["margins"].items()}
    return SystemAudit(
        name=name,
        lowest=float(wide.min()),
        highest=float(wide.max()),
        mean=float(wide.mean()),
        deviation=float(wide.std()),
        quantiles=tuple(float(value) for value in np.quantile(wide, LEVELS)),
        ties=float(counts[counts > 1].sum() / len(scores)),
        at_maximum=float((wide == wide.max()).mean()),
        **sides,
    )


def _warnings(one: SystemAudit, scores: Floats) -> list[str]:
    found = []
    if looks_like_probabilities(scores):
        found.append(
            f"all scores of {one.name} lie between 0 and 1, as probabilities do: "
            "margins of probabilities teach little; score with the logits before the sigmoid"
        )
    if one.ties > MANY_TIES:
        found.append(
            f"{one.ties:.0%} of the pairs share their exact score with another one in {one.name}: "
            "a saturated scale, or few digits (bfloat16 has three)"
        )
    if one.accuracy is not None and one.accuracy < 0.5:
        found.append(f"{one.name} scores the positive higher in {one.accuracy:.0%} of the triples only")
    if one.false_negatives:
        found.append(
            f"{one.false_negatives} negatives score above their positive in {one.name}, and may be false ones: "
            "[train] negative_absolute_margin = 0 leaves such out of drawn negatives"
        )
    return found


def _margin_row(one: SystemAudit) -> list[str]:
    assert one.positives is not None
    assert one.negatives is not None
    assert one.margins is not None
    assert one.accuracy is not None
    assert one.equal is not None
    margins = _shown(*(one.margins[key] for key in ("mean", "deviation", "5%", "95%")))
    return [one.name, *_shown(one.positives, one.negatives), *margins, *_percent(one.accuracy, one.equal)]


def _shown(*values: float) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _percent(*values: float) -> list[str]:
    return [f"{value:.1%}" for value in values]


def plot_audit(scores: Mapping[str, Floats], triples: Integers | None, output: Path) -> list[Path]:
    """Draw OUTPUT.audit.png and OUTPUT.audit.svg and return their paths.

    They show the range of scores and the distribution of margins, as figures 1 and 3 of Margin-MSE do.

    Args:
        scores: by system, the raw score of each pair, shape ``[pairs]``
        triples: the pairs of positives and negatives, shape ``[2, triples]``, or None for scores alone
        output: the file of the scores
    """
    from matplotlib.figure import Figure

    panels, paths = 1 if triples is None else 2, []
    # Equal scores give equal files: neither a date nor random names in the SVG.
    with only({"svg.hashsalt": "distilkit"}):
        # Room for every box, of which there is one per system and side.
        figure = Figure(figsize=(5 * panels, max(4, 0.6 * len(scores) * panels)), layout="constrained")
        _draw_scores(figure.add_subplot(1, panels, 1), scores, triples)
        if triples is not None:
            _draw_margins(figure.add_subplot(1, panels, 2), scores, triples)
        for kind in FORMATS:
            path = output.with_name(f"{output.name}.audit.{kind}")
            with atomic_path(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            paths.append(path)
    return paths


def _draw_scores(axes: Any, scores: Mapping[str, Floats], triples: Integers | None) -> None:
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


def _draw_margins(axes: Any, scores: Mapping[str, Floats], triples: Integers) -> None:
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

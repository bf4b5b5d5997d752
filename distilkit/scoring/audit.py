"""What teacher scores look like: their ranges, margins and ties, and whether they can be logits at all."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from distilkit.tables import table

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

LEVELS = (0.05, 0.5, 0.95)
# Of raw logits nearly all differ in float32; float16 teachers tie a little.
MANY_TIES = 0.1


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


def looks_like_probabilities(scores: Floats) -> bool:
    """Return whether all scores lie between 0 and 1, as those of a sigmoid or softmax do and logits hardly ever."""
    return bool(len(scores) > 1 and scores.min() >= 0 and scores.max() <= 1)


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

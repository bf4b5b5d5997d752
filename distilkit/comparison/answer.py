"""The answer of a comparison: which systems are best, which are as good as the baseline, and which one to take."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

BETTER, WORSE, INCONCLUSIVE = "better", "worse", "inconclusive"


@dataclass(frozen=True)
class NonInferior:
    """A system that is non-inferior to the baseline, and the smallest margin at which it would be."""

    name: str
    smallest_margin: float | None


@dataclass(frozen=True)
class ForestLine:
    """A system against the baseline on the answer's measure, as a line of the forest plot shows it.

    `ci_low` and `ci_high` are the interval that agrees with the corrected p; `margin_low` and `margin_high` are of the
    interval whose lower end decides non-inferiority, one-sided at 0.05. All are None for the baseline itself and where
    the difference does not vary. `verdict` is better, worse or inconclusive by the corrected p.
    """

    name: str
    mean: float
    difference: float
    ci_low: float | None = None
    ci_high: float | None = None
    margin_low: float | None = None
    margin_high: float | None = None
    smallest_margin: float | None = None
    non_inferior: bool | None = None
    verdict: str = ""

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value that the line reaches."""
        values = (self.difference, self.ci_low, self.ci_high, self.margin_low, self.margin_high)
        there = [value for value in values if value is not None]
        return min(there), max(there)


@dataclass(frozen=True)
class Answer:
    """What a comparison comes to on its first measure.

    `ranking` has the systems from the highest mean to the lowest. `not_separable_from_best` are those whose difference
    to the best is not significant, corrected. `non_inferior` are those that are non-inferior to `baseline` at `margin`,
    the cheapest of which is `recommended`; None where there is none, or none states a cost. `margin_low` is the margin
    as a difference to the baseline, below zero.
    """

    measure: str
    set: str | None
    baseline: str
    margin: float
    margin_kind: str
    margin_low: float
    ranking: tuple[str, ...]
    best: str
    not_separable_from_best: tuple[str, ...]
    non_inferior: tuple[NonInferior, ...]
    recommended: str | None
    forest: tuple[ForestLine, ...] = field(repr=False)

    @property
    def lines(self) -> Sequence[ForestLine]:
        """The lines of the forest plot but the baseline's own."""
        return [line for line in self.forest if line.name != self.baseline]

    def to_json(self) -> dict[str, Any]:
        """Return the plain value: the key `answer` of the JSON."""
        return {
            "measure": self.measure,
            "baseline": self.baseline,
            "margin": self.margin,
            "ranking": [*self.ranking],
            "best": self.best,
            "not_separable_from_best": [*self.not_separable_from_best],
            "non_inferior": [asdict(one) for one in self.non_inferior],
            "recommended": self.recommended,
        }

    def forest_to_json(self) -> dict[str, Any]:
        """Return the plain value of the forest plot: the key `forest` of the JSON."""
        return {
            "measure": self.measure,
            "set": self.set,
            "baseline": self.baseline,
            "margin_low": self.margin_low,
            "lines": [asdict(line) for line in self.forest],
        }

"""What a comparison found: the one object that every renderer and the TUI read."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class SystemMean:
    """A system's mean of one measure, with its interval and the letters of the baselines it differs from."""

    name: str
    measure: str
    n: int
    mean: float
    ci_low: float | None
    ci_high: float | None
    seeds: int
    superscripts: str


@dataclass(frozen=True)
class Comparison:
    """A system against a baseline on one measure; differences are system - baseline. None: there is no such value."""

    system: str
    baseline: str
    measure: str
    n: int
    mean_difference: float
    ci_low: float | None
    ci_high: float | None
    t: float | None
    df: int
    p: float | None
    p_adjusted: float | None
    wilcoxon_p: float | None
    permutation_p: float | None
    cohens_dz: float | None
    wins: int
    ties: int
    losses: int
    noninferiority_t: float | None
    noninferiority_p: float | None
    non_inferior: bool | None
    minimum_detectable_difference: float | None


@dataclass(frozen=True)
class ComparisonResult:
    """A whole comparison: what was asked, the systems' means and every comparison made.

    `family` counts the comparisons with a p, which `correction` was applied to; `letters` maps each baseline to the
    small letter that marks differences from it; `notes` are sentences on what was left out.
    """

    baselines: tuple[str, ...]
    test: str
    correction: str
    family: int
    alpha: tuple[float, ...]
    margin: float
    policy: dict[str, Any]
    systems: tuple[SystemMean, ...]
    comparisons: tuple[Comparison, ...]
    margin_kind: str
    pairs: str
    eval_set: str | None
    letters: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The systems' names in the table's order."""
        return tuple(dict.fromkeys(one.name for one in self.systems))

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures' names in the order asked."""
        return tuple(dict.fromkeys(one.measure for one in self.systems))

    @property
    def level(self) -> float:
        """The intervals' level of confidence: 1 - the larger alpha."""
        return 1 - max(self.alpha)

    def mean(self, name: str, measure: str) -> SystemMean:
        """Return a system's mean of a measure."""
        return next(one for one in self.systems if (one.name, one.measure) == (name, measure))

    def best(self, measure: str) -> float:
        """Return the highest mean of a measure."""
        return max(one.mean for one in self.systems if one.measure == measure)

    def groups(self) -> Iterator[tuple[str, str, list[Comparison]]]:
        """Yield the comparisons of each measure and baseline that has any."""
        for measure in self.measures:
            for baseline in self.baselines:
                rows = [one for one in self.comparisons if (one.measure, one.baseline) == (measure, baseline)]
                if rows:
                    yield measure, baseline, rows

    def to_json(self) -> dict[str, Any]:
        """Return the plain value that `distilkit compare --format json` prints."""
        value = {field.name: getattr(self, field.name) for field in fields(self)}
        value["systems"] = [asdict(one) for one in self.systems]
        value["comparisons"] = [asdict(one) for one in self.comparisons]
        return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}

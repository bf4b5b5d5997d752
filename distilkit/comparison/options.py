"""The options of a comparison, and the check that they exist, are in range and fit together."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import get_args

from distilkit.comparison.corrections import corrections
from distilkit.comparison.paired_tests import MarginKind
from distilkit.errors import UserError, nearest

TESTS = ("t-test", "wilcoxon", "permutation", "bootstrap")
PAIRS = ("baseline", "all")
QUERIES = ("judged", "intersection")
HIERARCHICAL = "hierarchical"
SEEDS = ("auto", "mean", HIERARCHICAL)


@dataclass(frozen=True)
class CompareOptions:
    """The choices of one comparison; `alpha` are one or two levels, `margin` is that of non-inferiority."""

    test: str
    correction: str
    alpha: tuple[float, ...]
    margin: float
    margin_kind: MarginKind
    equivalence: bool
    pairs: str
    queries: str
    seeds: str

    @property
    def level(self) -> float:
        """The intervals' level of confidence: 1 - the larger alpha."""
        return 1 - self.alpha[0]

    @property
    def hierarchical(self) -> bool:
        """Whether interval and p come from the t-test over queries and seeds."""
        return self.seeds == HIERARCHICAL

    def checked(self) -> "CompareOptions":
        """Return the options with the larger alpha first and the correction by its own name.

        Raises UserError for a choice that there is not, is out of range, or clashes with another.
        """
        _known("--pairs", self.pairs, PAIRS)
        _known("--queries", self.queries, QUERIES)
        _known("--test", self.test, TESTS)
        if self.correction not in corrections:
            _known("--correction", self.correction, corrections)
        _known("--margin-kind", self.margin_kind, get_args(MarginKind))
        _known("--seeds", self.seeds, SEEDS)
        levels = tuple(sorted(set(self.alpha), reverse=True))
        if not 1 <= len(levels) <= 2 or not all(0 < level < 1 for level in levels):
            raise UserError("--alpha: expected one or two levels between 0 and 1, such as 0.05 and 0.01")
        if not 0 <= self.margin < (1 if self.margin_kind == "relative" else math.inf):
            raise UserError(
                f"--non-inferiority: expected a share from 0 to 1 or an absolute margin from 0, found {self.margin}"
            )
        if self.hierarchical and self.test != "t-test":
            raise UserError(f"--seeds hierarchical is a t-test of its own, so it does not go with --test {self.test}")
        return replace(self, correction=corrections.resolve(self.correction), alpha=levels)

    def settled(self, several: bool) -> "CompareOptions":
        """Return the options with what `auto` comes to: seeds are tested where any system has several."""
        if self.seeds != "auto":
            return self
        return replace(self, seeds=HIERARCHICAL if several and self.test == "t-test" else "mean")


def _known(option: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UserError(f"{option}: there is no {value!r}{nearest(value, known)}")

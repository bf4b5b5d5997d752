"""What can be asked of a comparison, and what of it does not go together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from distilkit.comparison.corrections import corrections
from distilkit.comparison.paired_tests import MarginKind
from distilkit.errors import UserError, nearest

TESTS = ("t-test", "wilcoxon", "permutation", "bootstrap")
PAIRS = ("baseline", "all")
QUERIES = ("judged", "intersection")
SEEDS = ("mean", "hierarchical")


@dataclass(frozen=True)
class Options:
    """The choices of one comparison, checked; `alpha` has the larger level first."""

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
        """Whether interval and p come from draws of both queries and seeds."""
        return self.seeds == "hierarchical"


def checked(
    *,
    test: str,
    correction: str,
    alpha: Sequence[float],
    margin: float,
    margin_kind: str,
    equivalence: bool,
    pairs: str,
    queries: str,
    seeds: str,
) -> Options:
    """Return the options; raises UserError for one that there is not, is out of range, or clashes with another."""
    _known("--pairs", pairs, PAIRS)
    _known("--queries", queries, QUERIES)
    _known("--test", test, TESTS)
    if correction not in corrections:
        _known("--correction", correction, corrections)
    _known("--margin-kind", margin_kind, get_args(MarginKind))
    _known("--seeds", seeds, SEEDS)
    levels = tuple(sorted(set(alpha), reverse=True))
    if not 1 <= len(levels) <= 2 or not all(0 < level < 1 for level in levels):
        raise UserError("--alpha: expected one or two levels between 0 and 1, such as 0.05 and 0.01")
    if not (0 <= margin < 1 if margin_kind == "relative" else 0 <= margin < math.inf):
        raise UserError(f"--non-inferiority: expected a share from 0 to 1 or an absolute margin from 0, found {margin}")
    if seeds == "hierarchical":
        if test not in ("t-test", "bootstrap"):
            raise UserError(f"--seeds hierarchical is a bootstrap of its own and cannot be had with --test {test}")
        test = "bootstrap"
    return Options(
        test=test,
        correction=corrections.resolve(correction),
        alpha=levels,
        margin=margin,
        margin_kind=cast(MarginKind, margin_kind),
        equivalence=equivalence,
        pairs=pairs,
        queries=queries,
        seeds=seeds,
    )


def _known(option: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UserError(f"{option}: there is no {value!r}{nearest(value, known)}")

"""Paired tests over the queries of one comparison, equal to R's `t.test` and `wilcox.test` to nine digits.

Every function takes the differences d = system - baseline, one per query, in one order of queries for all systems.
None stands for "there is no such value": R stops with "data are essentially constant" where the standard error is
below 10·eps·|mean|, and without any difference there is nothing to test.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MarginKind = Literal["relative", "absolute"]

EXACT_UP_TO = 13
DRAWS = 10_000
SEED = 0


@dataclass(frozen=True)
class TTest:
    """A two-tailed paired t-test: t = mean(d)/(sd(d)/sqrt(n)), df = n - 1, the mean's interval, dz = mean(d)/sd(d)."""

    df: int
    t: float | None = None
    p: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    cohens_dz: float | None = None


def t_test(differences: Vector, level: float = 0.95) -> TTest:
    """Return the two-tailed paired t-test with the interval of the mean difference at a level of confidence."""
    from scipy.special import stdtr, stdtrit

    n = len(differences)
    mean, error = float(np.mean(differences)), _standard_error(differences)
    if error is None:
        return TTest(df=n - 1)
    t = mean / error
    reach = float(stdtrit(n - 1, (1 + level) / 2)) * error
    return TTest(
        df=n - 1,
        t=t,
        p=float(2 * stdtr(n - 1, -abs(t))),
        ci_low=mean - reach,
        ci_high=mean + reach,
        cohens_dz=t / math.sqrt(n),
    )


def wins_ties_losses(differences: Vector) -> tuple[int, int, int]:
    """Return how many queries the system wins, ties and loses."""
    wins, losses = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    return wins, len(differences) - wins - losses, losses


def wilcoxon_p(differences: Vector) -> float | None:
    """Return the p of Wilcoxon's signed-rank test: R's `wilcox.test(exact = FALSE, correct = FALSE)`.

    Zero differences are dropped; z = (V - n(n+1)/4) / sqrt(n(n+1)(2n+1)/24 - sum(tie^3 - tie)/48), V the positive
    ranks' sum. None without any difference.
    """
    from scipy.special import ndtr

    nonzero = differences[differences != 0]
    n = len(nonzero)
    if n == 0:
        return None
    _, group, tied = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(tied) - (tied - 1) / 2)[group]
    ties = tied.astype(np.float64)
    deviation = math.sqrt(n * (n + 1) * (2 * n + 1) / 24 - float(np.sum(ties**3 - ties)) / 48)
    z = (float(np.sum(ranks[nonzero > 0])) - n * (n + 1) / 4) / deviation
    return float(2 * ndtr(-abs(z)))


def permutation_p(differences: Vector) -> list[float | None]:
    """Return the two-tailed p of the sign-flip permutation test for every row of differences [comparison, query].

    Exact over all 2^n signs up to n = 13; above, 10,000 draws with seed 0, p = (1 + extreme)/(1 + draws). All rows see
    the same signs. None for a row without any difference.
    """
    n = differences.shape[1]
    exact = n <= EXACT_UP_TO
    extreme = _count_extreme(differences, np.sum(differences, axis=1), _all_signs(n) if exact else _drawn_signs(n))
    return _shares(differences, extreme, 2**n if exact else DRAWS, exact)


def smallest_p(test: str, n: int) -> float:
    """Return the smallest p that a test can give for n queries, which bounds how many comparisons it can bear."""
    if test == "permutation" and n <= EXACT_UP_TO:
        return 2.0 ** (1 - n)
    return 1 / (1 + DRAWS) if test in ("permutation", "bootstrap") else 0.0


def bootstrap_p(differences: Vector) -> list[float | None]:
    """Return the two-tailed bootstrap p of the mean difference for every row of differences [comparison, query].

    The null is the sample shifted to mean zero: p = (1 + #{|mean*(d - mean d)| >= |mean d|})/(1 + draws) over 10,000
    resamples of the queries with seed 0, the same for all rows. None where the t-test has no value.
    """
    sums = np.sum(differences, axis=1)
    shifted = differences - np.mean(differences, axis=1, keepdims=True)
    shares = _shares(differences, _count_extreme(shifted, sums, _resamples(differences.shape[1])), DRAWS, exact=False)
    return [None if _standard_error(row) is None else share for row, share in zip(differences, shares, strict=True)]


def noninferiority(
    system: Vector, baseline: Vector, margin: float, kind: MarginKind = "relative"
) -> tuple[float | None, float | None]:
    """Return t and one-sided p of the null hypothesis that the system is worse than the baseline by the margin or more.

    A t-test of mean(z) > 0, with z = system - (1 - margin)·baseline for a relative margin and
    z = system - baseline + margin for an absolute one.
    """
    from scipy.special import stdtr

    z = system - (1 - margin) * baseline if kind == "relative" else system - baseline + margin
    error = _standard_error(z)
    if error is None:
        return None, None
    t = float(np.mean(z)) / error
    return t, float(stdtr(len(z) - 1, -t))


def minimum_detectable_difference(differences: Vector) -> float | None:
    """Return the true difference that this many queries show with power 0.8 at 0.05: (z.975 + z.8)·sd(d)/sqrt(n)."""
    from scipy.special import ndtri

    if len(differences) < 2:
        return None
    return float((ndtri(0.975) + ndtri(0.8)) * np.std(differences, ddof=1) / math.sqrt(len(differences)))


def _standard_error(values: Vector) -> float | None:
    """Return sd/sqrt(n), or None by R's rule (and for fewer than two values, or all zero)."""
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if error == 0 or error < 10 * np.finfo(np.float64).eps * abs(float(np.mean(values))):
        return None
    return error


def _count_extreme(rows: Vector, observed: Vector, weights: Iterator[Vector]) -> Vector:
    """Return, per row, how many weightings of its values have a sum as far from zero as the observed one."""
    # Sums that are equal on paper differ by rounding; they count as equal.
    bound = np.abs(observed) - 1e-12 * np.sum(np.abs(rows), axis=1)
    count = np.zeros(len(rows))
    for block in weights:
        count += np.sum(np.abs(block @ rows.T) >= bound, axis=0)
    return count


def _shares(differences: Vector, extreme: Vector, draws: int, exact: bool) -> list[float | None]:
    added = 0 if exact else 1
    return [
        (float(count) + added) / (draws + added) if np.any(row) else None
        for row, count in zip(differences, extreme, strict=True)
    ]


def _all_signs(n: int) -> Iterator[Vector]:
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    yield 1.0 - 2.0 * bits.astype(np.float64)


def _drawn_signs(n: int) -> Iterator[Vector]:
    return _blocks(n, lambda random, rows: 1.0 - 2.0 * random.integers(0, 2, size=(rows, n)).astype(np.float64))


def _resamples(n: int) -> Iterator[Vector]:
    """Yield how often each query is in each resample."""

    def draw(random: np.random.Generator, rows: int) -> Vector:
        places = random.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        return np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)

    return _blocks(n, draw)


def _blocks(n: int, draw: Callable[[np.random.Generator, int], Vector]) -> Iterator[Vector]:
    """Yield DRAWS rows from one generator, in blocks of some megabytes."""
    random = np.random.default_rng(SEED)
    rows = max(1, min(DRAWS, 2_000_000 // n))
    for start in range(0, DRAWS, rows):
        yield draw(random, min(rows, DRAWS - start))

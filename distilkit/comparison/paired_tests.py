"""Paired tests over the queries of one comparison, equal to R's `wilcox.test` to nine digits, and what t-tests share.

Every function takes the differences d = system - baseline, one per query, in one order of queries for all systems.
None stands for "there is no such value": R stops with "data are essentially constant" where the standard error is
below 10·eps·|mean|, and without any difference there is nothing to test.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MarginKind = Literal["relative", "absolute"]

ALPHA = 0.05
"""The level of non-inferiority and equivalence, whose p-values are not corrected."""
POWER = 0.8


def widened(df: float, level: float, to: float) -> float:
    """Return how many times wider the t-test's interval at the level `to` is than that at `level`."""
    return quantile(df, (1 + to) / 2) / quantile(df, (1 + level) / 2)


def quantile(df: float, level: float) -> float:
    """Return a quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(df, level))


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


def minimum_detectable_difference(differences: Vector) -> float | None:
    """Return the true difference that this many queries show with power 0.8 at 0.05: (z.975 + z.8)·sd(d)/sqrt(n)."""
    if len(differences) < 2:
        return None
    return _reach() * float(np.std(differences, ddof=1)) / math.sqrt(len(differences))


def queries_needed(differences: Vector) -> int | None:
    """Return how many queries show the difference found with power 0.8 at 0.05: ((z.975 + z.8)·sd(d)/mean(d))², up.

    None where the differences have no spread or their mean is zero but for rounding.
    """
    mean = abs(float(np.mean(differences)))
    if standard_error(differences) is None or mean <= 1e-12 * float(np.mean(np.abs(differences))):
        return None
    return math.ceil((_reach() * float(np.std(differences, ddof=1)) / mean) ** 2)


def _reach() -> float:
    from scipy.special import ndtri

    return float(ndtri(1 - ALPHA / 2) + ndtri(POWER))


def standard_error(values: Vector) -> float | None:
    """Return sd/sqrt(n), or None by R's rule (and for fewer than two values, or all zero)."""
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    if error == 0 or error < 10 * np.finfo(np.float64).eps * abs(float(np.mean(values))):
        return None
    return error

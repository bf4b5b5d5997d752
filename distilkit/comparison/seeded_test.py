"""The t-test over queries and seeds: whether a method differs from another, not only the models that were trained.

Values are X[i, j] = mean + query j + seed i + both, with random queries and seeds. The variance of the mean difference
is

    var_j(d_j)/q + Σ_X max(0, var_i(X̄_i)/s - MS_X/(s·q))

with q queries, d_j the difference of query j averaged over the seeds, X̄_i the mean of seed i of a system X with s
seeds, and MS_X the mean square of what neither seed nor query explains, which both other terms hold. Degrees of freedom
follow Satterthwaite (1946), as in the quasi-F test of Clark (1973). A system's seeds are drawn for it alone; one
without several, such as BM25, has no such term. Of single seeds this is the paired t-test, equal to R's `t.test` to
nine digits: t = mean(d)/(sd(d)/sqrt(n)), df = n - 1.
"""

import math
from dataclasses import dataclass

import numpy as np

from distilkit.comparison.paired_tests import Vector, quantile, standard_error


@dataclass(frozen=True)
class TTest:
    """A two-tailed paired t-test of d: t = mean(d)/s, its df, the mean's interval, Cohen's dz = mean(d)/sd(d)."""

    df: float
    t: float | None = None
    p: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    cohens_dz: float | None = None


@dataclass(frozen=True)
class Difference:
    """A mean difference with its standard error and degrees of freedom; `dz` is Cohen's, over the queries."""

    mean: float
    error: float
    df: float
    dz: float

    @property
    def t(self) -> float:
        """How many standard errors the mean is from zero."""
        return self.mean / self.error

    @property
    def above_zero(self) -> float:
        """The p of the one-sided test that the mean is above zero."""
        from scipy.special import stdtr

        return float(stdtr(self.df, -self.t))


def difference(system: Vector, baseline: Vector | None = None, shift: float = 0.0) -> Difference | None:
    """Return the mean of a system's values [seed, query] less a baseline's, if there is one, plus a shift.

    None where the differences do not vary, as in the paired t-test.
    """
    sides = [system] if baseline is None else [system, baseline]
    means = system.mean(axis=0) - (0.0 if baseline is None else baseline.mean(axis=0)) + shift
    n, error = len(means), standard_error(means)
    if error is None:
        return None
    mean = float(np.mean(means))
    if all(len(values) == 1 for values in sides):
        return Difference(mean, error, n - 1, mean / (error * math.sqrt(n)))
    parts: list[tuple[float, int]] = [(error**2, n - 1)]
    variance = error**2
    for values in sides:
        between = _between(values)
        if between is not None:
            variance += between[0][0] - between[1][0]
            parts += between
    df = variance**2 / math.fsum(part**2 / freedom for part, freedom in parts)
    return Difference(mean, math.sqrt(variance), df, mean / (error * math.sqrt(n)))


def t_test(system: Vector, baseline: Vector | None = None, level: float = 0.95) -> TTest:
    """Return the two-tailed test of a system's values [seed, query] against a baseline's, or of its mean without one.

    `cohens_dz` is that of the queries. There are no values where the differences do not vary, as in the paired t-test.
    """
    from scipy.special import stdtr

    found = difference(system, baseline)
    if found is None:
        return TTest(df=system.shape[1] - 1)
    reach = quantile(found.df, (1 + level) / 2) * found.error
    return TTest(
        df=found.df,
        t=found.t,
        p=float(2 * stdtr(found.df, -abs(found.t))),
        ci_low=found.mean - reach,
        ci_high=found.mean + reach,
        cohens_dz=found.dz,
    )


def _between(values: Vector) -> list[tuple[float, int]] | None:
    """Return the variance of a mean over seeds and what of it is the queries', each with its degrees of freedom.

    None where seeds differ by no more than the queries explain.
    """
    seeds, n = values.shape
    if seeds < 2:
        return None
    by_seed = values.mean(axis=1, keepdims=True)
    rest = values - by_seed - values.mean(axis=0, keepdims=True) + values.mean()
    freedom = (seeds - 1) * (n - 1)
    of_seeds = float(np.var(by_seed, ddof=1)) / seeds
    of_both = float(np.sum(rest**2)) / freedom / (seeds * n)
    return [(of_seeds, seeds - 1), (of_both, freedom)] if of_seeds > of_both else None

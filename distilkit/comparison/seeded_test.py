"""The t-test over queries and seeds: whether a method differs from another, not only the models that were trained.

Values are X[i, j] = mean + query j + seed i + both, with random queries and seeds. The variance of the mean difference
is

    var_j(d_j)/q + Σ_X max(0, var_i(X̄_i)/s - MS_X/(s·q))

with q queries, d_j the difference of query j averaged over the seeds, X̄_i the mean of seed i of a system X with s
seeds, and MS_X the mean square of what neither seed nor query explains, which both other terms hold. Degrees of freedom
follow Satterthwaite (1946), as in the quasi-F test of Clark (1973). A system's seeds are drawn for it alone; one
without several, such as BM25, has no such term. Of single seeds this is the paired t-test.
"""

import math

import numpy as np

from distilkit.comparison.paired_tests import TTest, Vector, quantile, standard_error


def t_test(system: Vector, baseline: Vector | None = None, level: float = 0.95) -> TTest:
    """Return the two-tailed test of a system's values [seed, query] against a baseline's, or of its mean without one.

    `cohens_dz` is that of the queries. There are no values where the differences do not vary, as in the paired t-test.
    """
    from scipy.special import stdtr

    sides = [system] if baseline is None else [system, baseline]
    means = system.mean(axis=0) - (0.0 if baseline is None else baseline.mean(axis=0))
    n, error = len(means), standard_error(means)
    if error is None:
        return TTest(df=n - 1)
    parts = [(error**2, n - 1)]
    variance = error**2
    for values in sides:
        between = _between(values)
        if between is not None:
            variance += between[0][0] - between[1][0]
            parts += between
    df = variance**2 / math.fsum(part**2 / freedom for part, freedom in parts)
    mean, spread = float(np.mean(means)), math.sqrt(variance)
    reach = quantile(df, (1 + level) / 2) * spread
    t = mean / spread
    return TTest(
        df=df,
        t=t,
        p=float(2 * stdtr(df, -abs(t))),
        ci_low=mean - reach,
        ci_high=mean + reach,
        cohens_dz=mean / (error * math.sqrt(n)),
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

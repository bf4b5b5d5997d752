"""Resampling tests: sign-flip permutations and bootstraps, over all comparisons of a report at once.

Every comparison sees the same draws, so that one matrix product serves them all and no p depends on what else is
compared. Seed 0, 10,000 draws.
"""

from collections.abc import Callable, Iterator

import numpy as np

from distilkit.comparison.paired_tests import Vector, standard_error

EXACT_UP_TO = 13
DRAWS = 10_000
SEED = 0
ROWS_AT_A_TIME = 256


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
    return [None if standard_error(row) is None else share for row, share in zip(differences, shares, strict=True)]


def _count_extreme(rows: Vector, observed: Vector, weights: Iterator[Vector]) -> Vector:
    """Return, per row, how many weightings of its values have a sum as far from zero as the observed one."""
    # Sums that are equal on paper differ by rounding; they count as equal.
    bound = np.abs(observed) - 1e-12 * np.sum(np.abs(rows), axis=1)
    count = np.zeros(len(rows))
    for block in weights:
        for start in range(0, len(rows), ROWS_AT_A_TIME):
            part = slice(start, start + ROWS_AT_A_TIME)
            count[part] += np.sum(np.abs(block @ rows[part].T) >= bound[part], axis=0)
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

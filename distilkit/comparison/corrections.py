"""Corrections of p-values for the number of comparisons, equal to R's `p.adjust`."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from distilkit.registry import Registry

Vector = NDArray[np.float64]
Correction = Callable[[Vector], Vector]

corrections: Registry[Correction] = Registry("correction")
"""Name -> correction of the p-values of one family."""


def adjust(p: Sequence[float | None], method: str) -> list[float | None]:
    """Return the corrected p-values in the same order; None (no test) leaves the family and stays None.

    Raises UserError for an unknown method.
    """
    correct = corrections[method]
    family = np.array([value for value in p if value is not None], dtype=np.float64)
    corrected = iter(correct(family).tolist() if len(family) else [])
    return [None if value is None else next(corrected) for value in p]


@corrections.register("none")
def none(p: Vector) -> Vector:
    """Return p as it is, as the papers' tables do."""
    return p


@corrections.register("bonferroni")
def bonferroni(p: Vector) -> Vector:
    """Return min(1, m·p) for a family of m."""
    return np.minimum(1.0, len(p) * p)


@corrections.register("holm")
def holm(p: Vector) -> Vector:
    """Return Holm's p: the largest (m - j + 1)·p(j) up to each place j of the ascending order, at most 1."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    return _restored(order, np.maximum.accumulate(factors * p[order]))


@corrections.register("bh", "benjamini_hochberg", "fdr")
def bh(p: Vector) -> Vector:
    """Return Benjamini and Hochberg's p (false discovery rate): the smallest (m/j)·p(j) from each place j on."""
    order = np.argsort(p, kind="stable")
    scaled = len(p) / np.arange(1, len(p) + 1) * p[order]
    return _restored(order, np.minimum.accumulate(scaled[::-1])[::-1])


def _restored(order: NDArray[np.intp], values: Vector) -> Vector:
    result = np.empty_like(values)
    result[order] = np.minimum(1.0, values)
    return result

"""A document's score from the scores of its windows, and its best windows."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Aggregation = Literal["max", "first", "sum", "avg"]


def aggregate(scores: npt.ArrayLike, owners: Integers, count: int, how: Aggregation = "max") -> Scores:
    """Return the score of each of `count` documents: MaxP, FirstP, SumP (Dai and Callan 2019), or the mean.

    Args:
        scores: [windows]
        owners: [windows], the document of each window, in 0..count-1, in any order
        count: the number of documents; one without a window is a ValueError
        how: `max`, the best window; `first`, the first window in the order given; `sum`; `avg`
    """
    values: Scores = np.asarray(scores, np.float64)
    windows: Integers = np.bincount(owners, minlength=count)
    if not windows.all():
        raise ValueError(f"document {int(windows.argmin())} of {count} has no window to be scored by")
    if how == "max":
        best = np.full(count, -np.inf)
        np.maximum.at(best, owners, values)
        return best
    if how == "first":
        return values[np.unique(owners, return_index=True)[1]]
    sums = np.asarray(np.bincount(owners, weights=values, minlength=count), np.float64)
    return sums if how == "sum" else sums / windows


def best_windows(scores: npt.ArrayLike, owners: Integers, keep: int) -> Integers:
    """Return which windows are among the `keep` best of their document: by document, the best first.

    Of equal windows the earlier is the better. Chen et al. (2021) train on the five that the teacher scores best.
    """
    values = np.asarray(scores, np.float64)
    # Stable, so that equal windows stay in the order given.
    order = np.lexsort((-values, owners))
    sorted_owners = owners[order]
    ranks = np.arange(len(order)) - np.searchsorted(sorted_owners, sorted_owners)
    return order[ranks < keep]

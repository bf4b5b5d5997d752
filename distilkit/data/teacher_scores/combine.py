"""The score of an ensemble, combined from its teachers' scores."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from distilkit.errors import UserError, nearest

HOW = ("mean", "standardised")

Floats = npt.NDArray[np.floating]


class Statistics(NamedTuple):
    """Mean and standard deviation of each teacher's scores, shape ``[teachers]``."""

    mean: npt.NDArray[np.float64]
    deviation: npt.NDArray[np.float64]


def statistics(scores: Floats) -> Statistics:
    """Return the statistics of scores ``[n, teachers]``; what is missing (NaN) does not count."""
    wide = np.asarray(scores, np.float64)
    return Statistics(np.nanmean(wide, axis=0), np.nanstd(wide, axis=0))


def combine(scores: Floats, how: str = "mean", over: Statistics | None = None) -> npt.NDArray[np.float32]:
    r"""Return the ensemble's score of each row, shape ``[n]``; a row that one teacher lacks (NaN) has none (NaN).

    .. math:: \text{mean}: \frac{1}{K} \sum_k t_k \qquad
        \text{standardised}: \frac{1}{K} \sum_k \frac{t_k - \mu_k}{\sigma_k}

    The mean of raw scores is the T2 of Hofstätter et al. 2020 (https://arxiv.org/abs/2010.02666), in which the teacher
    with the widest range weighs most; standardised, all weigh the same.

    Args:
        scores: raw scores, shape ``[n, teachers]``
        how: ``mean`` or ``standardised``
        over: the statistics that scores are standardised by, those of a whole file; by default of the scores given

    Raises:
        UserError: for another `how`, or a teacher that gives one score to everything

    Example:
        >>> combine(np.array([[1.0, 10.0], [3.0, 30.0]]))
        array([ 5.5, 16.5], dtype=float32)
        >>> combine(np.array([[1.0, 10.0], [3.0, 30.0]]), "standardised")
        array([-1.,  1.], dtype=float32)
    """
    if how not in HOW:
        raise UserError(f"--combine: there is no {how!r}{nearest(how, HOW)}")
    wide = np.asarray(scores, np.float64)
    if how == "standardised" and len(wide):
        mean, deviation = over or statistics(wide)
        if not (deviation > 0).all():
            teacher = int(np.argmin(deviation > 0)) + 1
            raise UserError(f"teacher {teacher} gives one score to everything, which cannot be standardised")
        wide = (wide - mean) / deviation
    combined: npt.NDArray[np.float32] = wide.mean(axis=1).astype(np.float32)
    return combined

"""How closely a student ranks and scores as its teacher does, query by query."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from distilkit.evaluation.policy import Results

Measure = Callable[[Results, Results], float | None]
"""A student's and a teacher's results of one query, in the policy's order -> a figure."""

PERSISTENCE = 0.9
"""The p of rank-biased overlap: how likely a reader goes on to the next rank."""


def kendall_tau(student: Results, teacher: Results) -> float | None:
    """Return Kendall's τ of two rankings, each in the policy's order, over the documents that both have.

    τ = (concordant - discordant pairs)/(n(n - 1)/2); the order has no ties. None for fewer than two shared documents.
    """
    from scipy.stats import kendalltau

    places = {document: place for place, (document, _) in enumerate(teacher)}
    shared = [places[document] for document, _ in student if document in places]
    if len(shared) < 2:
        return None
    return float(kendalltau(np.arange(len(shared)), shared).statistic)


def rank_biased_overlap(one: Results, other: Results, p: float = PERSISTENCE) -> float:
    """Return the extrapolated rank-biased overlap of two rankings (Webber et al. 2010, equation 32), from 0 to 1.

    With X_d documents in both at depth d, the shorter list of length s and the longer of length l,
    RBO = (1-p)/p·(Σ_{d≤l} X_d/d·p^d + Σ_{s<d≤l} X_s(d-s)/(s·d)·p^d) + ((X_l - X_s)/l + X_s/s)·p^l.
    """
    short, long = sorted(([document for document, _ in one], [document for document, _ in other]), key=len)
    if not short:
        return 1.0 if not long else 0.0
    overlaps = _overlaps(short, long)
    s, depths = len(short), np.arange(1, len(long) + 1)
    weights = p**depths
    total = np.sum(overlaps / depths * weights)
    beyond = depths > s
    at_short = overlaps[s - 1]
    total += np.sum(at_short * (depths[beyond] - s) / (s * depths[beyond]) * weights[beyond])
    return float((1 - p) / p * total + ((overlaps[-1] - at_short) / len(long) + at_short / s) * weights[-1])


def margin_error(student: Results, teacher: Results) -> float | None:
    """Return the mean squared error of a student's margins: of s(a) - s(b) against t(a) - t(b), over all pairs a, b.

    Margin-MSE's loss over every pair of a query's shared documents: twice the variance of s - t, n - 1 below. None for
    fewer than two shared documents.
    """
    scores = dict(teacher)
    differences = [score - scores[document] for document, score in student if document in scores]
    return None if len(differences) < 2 else float(2 * np.var(differences, ddof=1))


def gap_closed(student: float, teacher: float, baseline: float) -> float | None:
    """Return the share of the way from baseline to teacher that a student's mean has come: (s - b)/(t - b).

    None where the teacher is no better than the baseline.
    """
    return (student - baseline) / (teacher - baseline) if teacher > baseline else None


def mean_over_queries(measure: Measure, student: Mapping[str, Results], teacher: Mapping[str, Results]) -> float | None:
    """Return the mean of one of the measures above over the queries that both have results for and it has a value."""
    found = [measure(results, teacher[query]) for query, results in student.items() if query in teacher]
    values = [one for one in found if one is not None]
    return float(np.mean(values)) if values else None


def _overlaps(short: Sequence[str], long: Sequence[str]) -> NDArray[np.float64]:
    """Return how many documents both lists hold down to each depth of the longer one."""
    counts = np.zeros(len(long))
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    shared = 0
    for depth, document in enumerate(long):
        seen_long.add(document)
        if depth < len(short):
            seen_short.add(short[depth])
            shared += short[depth] in seen_long
            shared += document in seen_short and document != short[depth]
        else:
            shared += document in seen_short
        counts[depth] = shared
    return counts

"""Tests against a margin: whether a system is non-inferior or equivalent to a baseline, and from which margin on.

Values are rows [seed, query], a single row where there is one seed or where seeds are not part of the question. Of
single rows every test is the paired t-test of R's `t.test`, of several the one over queries and seeds (`seeded_test`).
None stands for "there is no such value", as in `paired_tests`.
"""

from typing import TypedDict

from distilkit.comparison import seeded_test
from distilkit.comparison.paired_tests import ALPHA, MarginKind, Vector, quantile
from distilkit.comparison.seeded_test import Difference


class MarginTests(TypedDict):
    """The fields of a Comparison that depend on the margin."""

    noninferiority_t: float | None
    noninferiority_p: float | None
    non_inferior: bool | None
    equivalence_p: float | None
    equivalent: bool | None


def margin_tests(system: Vector, baseline: Vector, margin: float, kind: MarginKind, equivalence: bool) -> MarginTests:
    """Return whether a system is non-inferior (if asked, equivalent) to a baseline, at the level 0.05."""
    t, p = noninferiority(system, baseline, margin, kind)
    both = equivalence_p(system, baseline, margin, kind) if equivalence else None
    return MarginTests(
        noninferiority_t=t, noninferiority_p=p, non_inferior=_below(p), equivalence_p=both, equivalent=_below(both)
    )


def noninferiority(
    system: Vector, baseline: Vector, margin: float, kind: MarginKind = "relative"
) -> tuple[float | None, float | None]:
    """Return t and one-sided p of the null hypothesis that the system is worse than the baseline by the margin or more.

    A t-test of mean(z) > 0, with z = system - (1 - margin)·baseline for a relative margin and
    z = system - baseline + margin for an absolute one.
    """
    found = _beyond(system, baseline, margin, kind)
    return (None, None) if found is None else (found.t, found.above_zero)


def equivalence_p(system: Vector, baseline: Vector, margin: float, kind: MarginKind = "relative") -> float | None:
    """Return the p of two one-sided tests (TOST, Schuirmann 1987): the larger of not-worse's and not-better's.

    Not worse is `noninferiority`; not better is the t-test of mean(z) > 0 with z = (1 + margin)·baseline - system, or
    z = baseline + margin - system for an absolute margin. None where either has no value.
    """
    worse = _beyond(system, baseline, margin, kind)
    scaled, shift = (1 + margin, 0.0) if kind == "relative" else (1.0, margin)
    better = seeded_test.difference(scaled * baseline, system, shift)
    return None if worse is None or better is None else max(worse.above_zero, better.above_zero)


def smallest_margin(system: Vector, baseline: Vector, kind: MarginKind = "relative") -> float | None:
    """Return the margin from which on a system is non-inferior to a baseline; below zero where it is superior.

    An absolute one is t·s(d) - mean(d), with t the 0.95 quantile of Student's distribution and s the standard error of
    d = system - baseline. A relative one is where mean(z) = t·s(z), as in Fieller (1954). None where there is no such
    margin below 1.
    """
    from scipy.optimize import brentq

    plain = seeded_test.difference(system, baseline)
    if kind == "absolute" or plain is None:
        return None if plain is None else -_lowest(plain)
    level = float(baseline.mean())

    def lower_end(margin: float) -> float:
        found = _beyond(system, baseline, margin, "relative")
        return plain.mean + margin * level if found is None else _lowest(found)

    least = -plain.mean / level if level > 0 else 1.0
    if least >= 1 or lower_end(1) <= 0:
        return None
    if lower_end(least) >= 0:  # mean(z) is 0 there: the system is the baseline times a number
        return least
    return float(brentq(lower_end, least, 1, xtol=1e-13))


def _lowest(one: Difference) -> float:
    """Return the lower end of the interval that decides non-inferiority, one-sided at the level 0.05."""
    return one.mean - quantile(one.df, 1 - ALPHA) * one.error


def _beyond(system: Vector, baseline: Vector, margin: float, kind: MarginKind) -> Difference | None:
    """Return the difference to what the margin leaves of the baseline."""
    if kind == "relative":
        return seeded_test.difference(system, (1 - margin) * baseline)
    return seeded_test.difference(system, baseline, margin)


def _below(p: float | None) -> bool | None:
    return None if p is None else p < ALPHA

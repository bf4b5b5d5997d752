"""Two one-sided tests, and the queries that a difference would need."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.comparison import margins, paired_tests, seeded_test
from distilkit.comparison.compare import compare
from distilkit.comparison.systems import System

BASE = np.array([0.5, 0.33, 1, 0.25, 0.5, 0.2, 1, 0.1, 0.5, 0.33])
DIFFERENCE = np.array([0.02, -0.05, 0, 0.1, -0.01, 0.03, -0.04, 0, 0.05, -0.02])
values = st.lists(st.integers(0, 16).map(lambda one: one / 16), min_size=4, max_size=25)


def test_the_p_is_the_larger_of_the_two_sides():
    # Not worse: p 0.0665 (see test_statistics); not better: t of 1.03·baseline - system, by hand from its mean and sd.
    z = 1.03 * BASE - (BASE + DIFFERENCE)
    t = z.mean() / (z.std(ddof=1) / math.sqrt(10))
    from scipy.stats import t as student

    expected = max(0.06645545771720751, float(student.sf(t, 9)))
    assert margins.equivalence_p((BASE + DIFFERENCE)[np.newaxis], BASE[np.newaxis], 0.03) == pytest.approx(
        expected, abs=1e-12
    )


@settings(deadline=None)  # the first call imports scipy.special
@given(values, st.randoms(use_true_random=False), st.sampled_from([0.02, 0.1, 0.3]))
def test_equivalence_is_the_ninety_percent_interval_inside_the_margins(baseline, random, margin):
    y = np.array([baseline])
    x = np.array([[value + random.choice([-1, 0, 0, 1]) * random.random() / 4 for value in baseline]])
    p = margins.equivalence_p(x, y, margin, "absolute")
    interval = seeded_test.t_test(x - y, level=0.90)
    if p is None or interval.ci_low is None:
        return
    inside = -margin < interval.ci_low and interval.ci_high < margin
    assert (p < 0.05) == inside or p == pytest.approx(0.05, abs=1e-9)


def test_equivalence_is_stated_only_when_asked_for():
    queries = [f"q{place}" for place in range(10)]
    systems = [
        System("base", {"RR@10": dict(zip(queries, BASE.tolist(), strict=True))}),
        System("near", {"RR@10": dict(zip(queries, (BASE + DIFFERENCE).tolist(), strict=True))}),
    ]
    plain, asked = compare(systems), compare(systems, equivalence=True, noninferiority=0.2)
    assert "equivalent" not in plain.to_json()["comparisons"][0]
    one = asked.to_json()["comparisons"][0]
    assert one["equivalent"] is True
    assert one["equivalence_p"] == margins.equivalence_p((BASE + DIFFERENCE)[np.newaxis], BASE[np.newaxis], 0.2)
    assert compare(systems, equivalence=True, noninferiority=0.001).comparisons[0].equivalent is False


def test_the_queries_needed_make_the_difference_detectable():
    needed = paired_tests.queries_needed(DIFFERENCE)
    reach = paired_tests.minimum_detectable_difference(DIFFERENCE) * math.sqrt(10)
    mean = abs(float(DIFFERENCE.mean()))
    assert reach / math.sqrt(needed) <= mean < reach / math.sqrt(needed - 1)
    # z.975 + z.8 = 2.8016; sd 0.0444, mean 0.008.
    assert needed == math.ceil((2.801585218 * DIFFERENCE.std(ddof=1) / 0.008) ** 2) == 243


@pytest.mark.parametrize("row", [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1], [0.5], [0.1, 0.2, -0.3]])
def test_what_does_not_vary_or_is_zero_on_the_mean_needs_no_number(row):
    assert paired_tests.queries_needed(np.array(row)) is None

"""Fidelity to the teacher against definitions written out, and its laws."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.evaluation.fidelity import (
    gap_closed,
    kendall_tau,
    margin_error,
    mean_over_queries,
    rank_biased_overlap,
)

orders = st.permutations([f"d{number}" for number in range(6)])


def ranked(documents):
    return [(document, float(-place)) for place, document in enumerate(documents)]


@settings(deadline=None)  # the first call imports scipy.stats
@given(orders, orders)
def test_kendalls_tau_counts_pairs(one, other):
    pairs = list(itertools.combinations(one, 2))
    agreed = sum(other.index(first) < other.index(second) for first, second in pairs)
    expected = (2 * agreed - len(pairs)) / len(pairs)
    assert kendall_tau(ranked(one), ranked(other)) == pytest.approx(expected)


def test_tau_looks_at_shared_documents_alone():
    assert kendall_tau(ranked("abc"), ranked("axbyc")) == pytest.approx(1)
    assert kendall_tau(ranked("cba"), ranked("abc")) == pytest.approx(-1)
    assert kendall_tau(ranked("ab"), ranked("xy")) is None


def test_overlap_of_even_lists_by_hand():
    # X = 0, 2, 3 of depths 1, 2, 3; p = 0.9: (0.1/0.9)(2/2·0.81 + 3/3·0.729) + 3/3·0.729.
    assert rank_biased_overlap(ranked("abc"), ranked("bac")) == pytest.approx(0.1 / 0.9 * (0.81 + 0.729) + 0.729)


def test_overlap_of_uneven_lists_by_hand():
    # s = 1, l = 2, X = 1, 1: (0.1/0.9)(0.9 + 0.81/2 + 1·1/(1·2)·0.81) + (0/2 + 1/1)·0.81 = 1: all of the short agrees.
    assert rank_biased_overlap(ranked("a"), ranked("ab")) == pytest.approx(1.0)
    # s = 1, l = 2, X = 0, 1 (the short list's one document comes second).
    expected = 0.1 / 0.9 * (0.81 / 2) + (1 / 2) * 0.81
    assert rank_biased_overlap(ranked("b"), ranked("ab")) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_overlap_is_symmetric_and_from_zero_to_one(one, other):
    there = rank_biased_overlap(ranked(one), ranked(other))
    assert there == pytest.approx(rank_biased_overlap(ranked(other), ranked(one)))
    assert -1e-12 <= there <= 1 + 1e-12
    assert rank_biased_overlap(ranked(one), ranked(one)) == pytest.approx(1)
    if one and not set(one) & set(other):
        assert there == 0


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=7))
def test_the_margin_error_is_that_of_all_pairs(scores):
    student = [(str(place), float(one)) for place, (one, _) in enumerate(scores)]
    teacher = [(str(place), float(other)) for place, (_, other) in enumerate(scores)]
    pairs = list(itertools.permutations(range(len(scores)), 2))
    errors = [((scores[a][0] - scores[b][0]) - (scores[a][1] - scores[b][1])) ** 2 for a, b in pairs]
    assert margin_error(student, teacher) == pytest.approx(sum(errors) / len(errors))


def test_a_shift_of_all_scores_is_no_margin_error():
    assert margin_error([("a", 3.0), ("b", 1.0)], [("a", 13.0), ("b", 11.0)]) == 0
    assert margin_error([("a", 3.0)], [("a", 13.0)]) is None


def test_the_gap_closed():
    assert gap_closed(0.6, 0.7, 0.5) == pytest.approx(0.5)
    assert gap_closed(0.8, 0.7, 0.5) == pytest.approx(1.5)
    assert gap_closed(0.6, 0.5, 0.5) is None


def test_the_mean_is_over_queries_that_have_a_value():
    student = {"q1": ranked("ab"), "q2": ranked("ba"), "q3": ranked("a"), "q4": ranked("ab")}
    teacher = {"q1": ranked("ab"), "q2": ranked("ab"), "q3": ranked("a")}
    assert mean_over_queries(kendall_tau, student, teacher) == pytest.approx(0)
    assert mean_over_queries(kendall_tau, {}, teacher) is None

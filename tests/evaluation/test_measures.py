"""Measures under the one policy: golden values, ties, missing and unjudged queries, names."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilkit.errors import RunFailed, UserError
from distilkit.evaluation.measures import canonical, canonical_all, evaluate

QRELS = {"q1": {"b": 1, "d": 2, "e": 3}, "q2": {"z": 2}}
RUN = {"q1": [("a", 4.0), ("b", 3.0), ("c", 2.0), ("d", 1.0)], "q2": [("x", 3.0), ("y", 2.0), ("z", 1.0)]}


def test_golden_values():
    golden = {
        "nDCG@10": 0.40669119043514196,
        "nDCG@3": 0.3162482537152814,
        "RR@10": 0.41666666666666663,
        "RR(rel=2)@10": 0.29166666666666663,
        "AP": 0.3333333333333333,
        "AP(rel=2)": 0.22916666666666666,
    }
    evaluation = evaluate(RUN, QRELS, list(golden))
    assert evaluation.means == pytest.approx(golden, abs=1e-12)
    assert evaluation.measures == tuple(golden)
    assert evaluation.queries == ("q1", "q2")
    assert evaluation.per_query["RR@10"] == {"q1": 1 / 2, "q2": 1 / 3}


def test_a_run_of_equal_scores_has_one_reciprocal_rank():
    # ir-measures alone says RR = 1/3 and RR@10 = 1 here, as two tools with two rules for ties stand behind them.
    run = {"q": [("a", 1.0), ("b", 1.0), ("c", 1.0)]}
    evaluation = evaluate(run, {"q": {"a": 1}}, "RR RR@10 AP nDCG@10 P@1 Judged@1")
    assert evaluation.means == {
        "RR": 1 / 3, "RR@10": 1 / 3, "AP": 1 / 3, "nDCG@10": 0.5, "P@1": 0.0, "Judged@1": 0.0
    }  # fmt: skip


def test_the_input_order_changes_nothing():
    results = [("a", 1.0), ("b", 1.0), ("c", 0.5), ("é", 1.0)]
    values = [
        evaluate({"q": list(order)}, {"q": {"a": 1, "c": 2}}, "nDCG@3 RR@10 Judged@2").per_query
        for order in itertools.permutations(results)
    ]
    assert all(value == values[0] for value in values)


graded = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-1, 3), min_size=1)
tied = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, -0.0, 0.5, 1e-300, 1e300]))


@given(graded, tied, st.randoms(use_true_random=False))
def test_every_measure_sees_the_policys_order(judged: dict[str, int], scored: dict[str, float], random: random.Random):
    results = list(scored.items())
    random.shuffle(results)
    ranking = sorted(scored, key=lambda one: (scored[one], one), reverse=True)
    gains = [max(judged.get(one, 0), 0) for one in ranking]
    ideal = sorted((max(grade, 0) for grade in judged.values()), reverse=True)
    best = sum(gain / math.log2(place + 2) for place, gain in enumerate(ideal[:4]))
    dcg = sum(gain / math.log2(place + 2) for place, gain in enumerate(gains[:4]))
    first = next((place + 1 for place, gain in enumerate(gains) if gain), None)
    values = evaluate({"q": results}, {"q": judged}, "nDCG@4 RR RR@4 Judged@2").means
    assert values["nDCG@4"] == pytest.approx(dcg / best if best else 0.0)
    assert values["RR"] == pytest.approx(1 / first if first else 0.0)
    assert values["RR@4"] == pytest.approx(1 / first if first and first <= 4 else 0.0)
    assert values["Judged@2"] == pytest.approx(sum(one in judged for one in ranking[:2]) / (len(ranking[:2]) or 1))


def test_missing_queries_score_zero_and_unjudged_ones_are_ignored():
    run = {"q1": RUN["q1"], "q2": [], "other": [("b", 1.0)], "empty": []}
    evaluation = evaluate(run, QRELS, ["RR@10", "Judged@10"])
    assert evaluation.per_query == {"RR@10": {"q1": 0.5, "q2": 0.0}, "Judged@10": {"q1": 0.5, "q2": 0.0}}
    assert evaluation.means == {"RR@10": 0.25, "Judged@10": 0.25}
    assert evaluation.missing == ("q2",)
    assert evaluation.policy.items() >= {"n": 2, "missing": 1, "unjudged": 1}.items()


def test_a_run_without_any_judged_query_scores_zero():
    assert evaluate({}, QRELS, "nDCG@10").means == {"nDCG@10": 0.0}


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(score):
    with pytest.raises(RunFailed, match="query 'q1', document 'b'"):
        evaluate({"q1": [("a", 1.0), ("b", score)]}, QRELS, "RR@10")


def test_judgements_are_needed():
    with pytest.raises(UserError, match="no judgements"):
        evaluate(RUN, {}, "RR@10")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MRR@10", "RR@10"),
        ("RR(rel=2)@10", "RR(rel=2)@10"),
        ("RR( rel = 1 )@10", "RR@10"),
        ("AP(rel=2)@100", "AP(rel=2)@100"),
        ("Recall@1000", "R@1000"),
        ("Judged@10", "Judged@10"),
        ("nDCG(judged_only=True, gains={1: 2, 2: 5})@10", "nDCG(gains={1:2,2:5},judged_only=True)@10"),
    ],
)
def test_names_are_canonical_and_name_themselves(name, expected):
    assert canonical(name) == expected
    assert canonical(expected) == expected


def test_several_measures_fit_in_one_value():
    assert canonical_all("nDCG@10  RR( rel = 2 )@10 MRR@10") == ["nDCG@10", "RR(rel=2)@10", "RR@10"]
    assert canonical_all(["RR@10", "nDCG@10 MRR@10"]) == ["RR@10", "nDCG@10"]
    with pytest.raises(UserError, match="no measure was named"):
        canonical_all(" ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ndcg@10", "did you mean 'nDCG@10'?"),
        ("nDCGG@10", "did you mean 'nDCG'?"),
        ("precision", "did you mean 'Precision'?"),
        ("banana", "known: AP, Bpref, Judged, P, R, RR, Rprec, Success, nDCG"),
        ("RR(re=2)@10", "no parameter 're'; did you mean 'rel'?"),
        ("nDCG@0", "cutoff must be a whole number from 1, found 0"),  # trec_eval ends the process on this
        ("nDCG@-1", "cutoff must be a whole number"),
        ("RR@1.5", "cutoff must be a whole number"),
        ("RR(rel=0)@10", "rel must be a whole number from 1"),
        ("P(rel=True)@10", "rel must be a whole number"),
        ("R", "a cutoff is needed, such as R@10"),
        ("nDCG(dcg='exp-log2')@10", "cannot be computed"),
        ("RR(judged_only=True)@10", "cannot be computed"),
        ("nDCG@ten", "is not a measure"),
        ("RR(2)@10", "is not a measure"),
        ("__import__('os')", "is not a measure"),
        ("nDCG@10@5", "is not a measure"),
    ],
)
def test_an_unknown_measure_names_the_nearest(name, words):
    with pytest.raises(UserError) as caught:
        canonical(name)
    assert words in str(caught.value)


def test_grades_below_minus_one_count_as_not_relevant_and_crash_nothing():
    """trec_eval alone ends the process on these, such as -2, which ClueWeb has for spam."""
    low = {f"q{i}": {"d0": -2, "d1": -50, "d2": i % 3, "d3": 1} for i in range(200)}
    none = {query: {doc: max(grade, 0) for doc, grade in judged.items()} for query, judged in low.items()}
    run = {query: [("d1", 3.0), ("d3", 2.0), ("d2", 1.0), ("d0", 0.5)] for query in low}
    for _ in range(20):
        found = evaluate(run, low, ["nDCG@10", "AP", "RR@10", "P@3", "R@3"])
    assert found.per_query == evaluate(run, none, ["nDCG@10", "AP", "RR@10", "P@3", "R@3"]).per_query

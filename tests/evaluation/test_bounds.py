"""Chance and ceiling of a first stage's candidates, held against all orders of them."""

import math
from itertools import permutations

import pytest

from distilkit.evaluation import bounds
from distilkit.evaluation.measures import as_measure, evaluate

QRELS = {
    "graded": {"a": 3, "b": 0, "c": 1, "elsewhere": 2, "z": -1},
    "one": {"b": 1},
    "none_found": {"elsewhere": 1},
    "nothing_relevant": {"a": 0},
    "no_candidates": {"a": 1},
}
CANDIDATES = {query: ["a", "b", "c", "d", "e"] for query in QRELS if query != "no_candidates"}
CANDIDATES["graded"] = ["a", "b", "c", "d", "z"]
EXACT = ["nDCG@3", "nDCG", "RR@2", "RR", "RR(rel=2)@10", "AP@3", "AP(rel=2)", "P@2", "P@9", "R@3", "Rprec",
         "Success@2", "Judged@3"]  # fmt: skip


def over_all_orders(measures):
    """Return the values of every order of the candidates, by measure and query."""
    found = {name: {query: [] for query in QRELS} for name in measures}
    for order in permutations(range(5)):
        run = {
            query: [(documents[at], float(-place)) for place, at in enumerate(order)]
            for query, documents in CANDIDATES.items()
        }
        for name, values in evaluate(run, QRELS, measures).per_query.items():
            for query, value in values.items():
                found[name][query].append(value)
    return found


def test_chance_is_the_mean_and_the_ceiling_the_best_of_all_orders():
    orders, chance = over_all_orders(EXACT), bounds.chance(CANDIDATES, QRELS, EXACT)
    ceiling = bounds.ceiling(CANDIDATES, QRELS, EXACT)
    assert list(chance) == EXACT
    for name in EXACT:
        assert bounds.is_exact(as_measure(name))
        for query, values in orders[name].items():
            assert chance[name][query] == pytest.approx(math.fsum(values) / 120, abs=1e-6), (name, query)
            assert ceiling[name][query] == pytest.approx(max(values), abs=1e-6), (name, query)


def test_chance_of_other_measures_is_the_mean_of_fixed_draws():
    assert not bounds.is_exact(as_measure("Bpref"))
    orders = over_all_orders(["Bpref"])["Bpref"]
    chance = bounds.chance(CANDIDATES, QRELS, ["Bpref", "RR"])
    assert list(chance) == ["Bpref", "RR"]
    for query, values in orders.items():
        assert chance["Bpref"][query] == pytest.approx(math.fsum(values) / 120, abs=0.1)
    assert chance == bounds.chance(CANDIDATES, QRELS, ["Bpref", "RR"])


def test_chance_of_deep_candidates():
    # One relevant among 1000: the mean of 1/place.
    found = bounds.chance({"q": [str(one) for one in range(1000)]}, {"q": {"7": 1}}, ["RR", "R@100"])
    assert found["RR"]["q"] == pytest.approx(sum(1 / place for place in range(1, 1001)) / 1000)
    assert found["R@100"]["q"] == pytest.approx(0.1)

"""What comparisons come to in words."""

import re
from dataclasses import replace

import numpy as np
import pytest

from distilkit.comparison.compare import compare
from distilkit.comparison.sentences import legend, verdict, verdicts
from distilkit.comparison.systems import System


def systems(*kinds):
    random = np.random.default_rng(2)
    base = random.uniform(size=20)
    return [
        System(f"s{place}", {"RR@10": {f"q{row}": float(one) for row, one in enumerate(base * (1 - 0.1 * place))}},
               kind=kind)
        for place, kind in enumerate(kinds)
    ]  # fmt: skip


RESULT = compare(systems("teacher", "run"))
ONE = replace(RESULT.comparisons[0], p=0.5, p_adjusted=0.5, wins=1, losses=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"p_adjusted": 0.04, "mean_difference": 0.1, "non_inferior": True}, "better"),
        ({"p_adjusted": 0.05, "mean_difference": 0.1, "non_inferior": None}, "inconclusive"),
        ({"p_adjusted": 0.04, "mean_difference": -0.1, "non_inferior": False}, "worse"),
        ({"p_adjusted": 0.04, "mean_difference": -0.1, "non_inferior": True}, "worse, yet non-inferior (3 %)"),
        ({"non_inferior": True}, "non-inferior (3 %)"),
        ({"non_inferior": False}, "inconclusive"),
        ({"non_inferior": None}, "inconclusive"),
        (
            {"non_inferior": True, "equivalent": True},
            "non-inferior (3 %), equivalent (±3 %)",
        ),
        ({"p_adjusted": 0.001, "mean_difference": 0.1, "equivalent": False},
         "better, not shown to be equivalent (±3 %)"),
        ({"p": None, "wins": 0, "losses": 0}, "equal on every query"),
        ({"p": None, "mean_difference": 0.1}, "higher by the same on every query, which cannot be tested"),
    ],
)  # fmt: skip
def test_each_outcome_has_its_words(changes, words):
    assert verdict(RESULT, replace(ONE, **changes)) == words


def test_students_come_first_and_many_comparisons_are_counted():
    result = compare(systems("bm25", "teacher", "twin", "run"), baselines=["s1"])
    assert [line.split()[0] for line in verdicts(result)] == ["s3", "s2", "s0"]
    many = verdicts(compare(systems(*["file"] * 12)))
    assert len(many) == 9
    assert many[-1].startswith("3 further comparisons: 3 worse")


def test_measures_of_one_outcome_are_told_together():
    random = np.random.default_rng(1)
    base = random.uniform(size=20)
    tables = [
        {name: {f"q{row}": float(one + shift) for row, one in enumerate(base + random.normal(0, 0.05, 20))}
         for name, shift in zip(("RR@10", "nDCG@10", "AP"), shifts, strict=True)}
        for shifts in ((0, 0, 0), (0.3, 0, 0.3))
    ]  # fmt: skip
    (line,) = verdicts(compare([System("a", tables[0]), System("b", tables[1])], noninferiority=0.001))
    assert line.startswith("b against a: better (RR@10 +0.")
    assert "; AP +0." in line.partition(")")[0]
    assert line.count("inconclusive") == 1


@pytest.mark.parametrize("correction", ["none", "bonferroni", "holm", "bh"])
@pytest.mark.parametrize("seed", range(4))
def test_intervals_of_sentences_agree_with_the_p_beside_them(correction, seed):
    random = np.random.default_rng(seed)
    base = random.uniform(size=30)
    shifts = np.linspace(-0.2, 0.2, 7)
    rows = [base, *(base + shift + random.normal(0, 0.15, 30) for shift in shifts)]
    systems = [
        System(f"s{place}", {"RR@10": {f"q{number}": float(one) for number, one in enumerate(row)}})
        for place, row in enumerate(rows)
    ]
    result = compare(systems, correction=correction)
    told = verdicts(result)
    assert len(told) == 7
    outcomes = set()
    comparisons = {one.system: one for one in result.comparisons}
    for line in told:
        one = comparisons[line.split()[0]]
        low, high = (float(end) for end in re.search(r"\[(.*?), (.*?)\]", line).groups())
        assert (low > 0 or high < 0) == (one.p_adjusted < 0.05), line
        # Never narrower than that of the comparison alone, which tables and the JSON have.
        assert low <= one.ci_low + 1e-4
        assert high >= one.ci_high - 1e-4
        outcomes.add(one.p_adjusted < 0.05)
    assert outcomes == {True, False}
    assert any("p and intervals in sentences corrected" in line for line in legend(result)) == (correction != "none")


def test_the_interval_beside_the_p_of_another_test_is_called_uncorrected():
    result = compare(systems("teacher", "run", "twin"), test="wilcoxon")
    assert all("] uncorrected, p " in line for line in verdicts(result))
    assert not any("intervals" in line for line in legend(result))

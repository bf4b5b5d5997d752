"""A comparison as a whole: pairing, queries, family, superscripts, and what is refused."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distilkit.comparison.compare import compare
from distilkit.comparison.corrections import adjust
from distilkit.comparison.sentences import legend
from distilkit.comparison.systems import System
from distilkit.errors import UserError

QUERIES = [f"q{number}" for number in range(12)]


def system(name, values, measure="nDCG@10", **more):
    return System(name, {measure: dict(zip(QUERIES, values, strict=False))}, **more)


def table():
    """Four systems: `better` beats the teacher clearly, `near` hardly differs, bm25 is far below."""
    random = np.random.default_rng(3)
    teacher = random.uniform(0.3, 0.7, 12)
    return [
        system("bm25", teacher - 0.3 + random.normal(0, 0.02, 12)),
        system("teacher", teacher),
        system("better", teacher + 0.1 + random.normal(0, 0.02, 12)),
        system("near", teacher + random.normal(0, 0.02, 12)),
    ]


def test_the_json_has_the_stated_keys():
    value = compare(table()).to_json()
    assert list(value) == [
        "baselines", "test", "correction", "family", "alpha", "margin", "policy", "systems", "comparisons",
        "margin_kind", "pairs", "eval_set", "letters", "notes", "seeds", "equivalence", "sets", "budgets", "answer",
        "forest",
    ]  # fmt: skip
    assert list(value["systems"][0]) == [
        "name", "measure", "n", "mean", "ci_low", "ci_high", "seeds", "superscripts", "set", "kind",
        "seed_deviation",
    ]  # fmt: skip
    assert list(value["comparisons"][0]) == [
        "system", "baseline", "measure", "n", "mean_difference", "ci_low", "ci_high", "t", "df", "p", "p_adjusted",
        "wilcoxon_p", "permutation_p", "cohens_dz", "wins", "ties", "losses", "noninferiority_t", "noninferiority_p",
        "non_inferior", "minimum_detectable_difference", "queries_needed", "set",
    ]  # fmt: skip
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert (value["baselines"], value["test"], value["correction"]) == (["teacher"], "t-test", "holm")
    assert (value["alpha"], value["margin"], value["family"]) == ([0.05, 0.01], 0.03, 3)


def test_golden_superscripts():
    result = compare(table(), baselines=["teacher", "bm25"])
    assert result.letters == {"teacher": "t", "bm25": "b"}
    assert {one.name: one.superscripts for one in result.systems} == {
        "bm25": "T", "teacher": "B", "better": "TB", "near": "B"
    }  # fmt: skip
    weak = compare(table(), baselines=["teacher:x"], alpha=(1e-13, 0.5))
    assert {one.name: one.superscripts for one in weak.systems if one.name != "near"} == {
        "bm25": "X", "teacher": "", "better": "x"
    }  # fmt: skip


def test_two_baselines_are_compared_once_and_the_family_counts_each_test_once():
    result = compare(table(), baselines=["teacher", "bm25"])
    assert [(one.system, one.baseline) for one in result.comparisons] == [
        ("bm25", "teacher"), ("better", "teacher"), ("near", "teacher"), ("better", "bm25"), ("near", "bm25")
    ]  # fmt: skip
    assert result.family == 5
    assert [one.p_adjusted for one in result.comparisons] == adjust([one.p for one in result.comparisons], "holm")


def test_all_pairs():
    result = compare(table(), pairs="all")
    assert result.baselines == ("teacher", "bm25", "better", "near")
    assert len({frozenset((one.system, one.baseline)) for one in result.comparisons}) == result.family == 6
    assert result.letters == {"teacher": "a", "bm25": "b", "better": "c", "near": "d"}
    assert {one.name: one.superscripts for one in result.systems} == {
        "bm25": "ACD", "teacher": "BC", "better": "ABD", "near": "BC"
    }  # fmt: skip


def test_the_family_spans_all_measures():
    random = np.random.default_rng(5)
    measures = ["nDCG@10", "RR@10", "AP"]
    systems = [
        System(name, {measure: dict(zip(QUERIES, random.uniform(size=12), strict=True)) for measure in measures})
        for name in ("a", "b", "c")
    ]
    result = compare(systems)
    assert result.baselines == ("a",)
    assert result.family == len(result.comparisons) == 6
    assert result.measures == tuple(measures)
    narrow = compare(systems, measures="MRR@10 AP")
    assert (narrow.measures, narrow.family) == (("RR@10", "AP"), 4)


def test_nulls_leave_the_family():
    base = [0.5, 0.25, 1.0, 0.0]
    result = compare(
        [system("base", base), system("same", base), system("up", [value + 0.25 for value in base]),
         system("other", [0.4, 0.3, 0.9, 0.2])]
    )  # fmt: skip
    same, up, other = result.comparisons
    assert (same.t, same.p, same.p_adjusted, same.ci_low, same.cohens_dz, same.permutation_p) == (None,) * 6
    assert (up.t, up.p, up.p_adjusted, up.ci_high, up.cohens_dz) == (None,) * 5
    assert up.wilcoxon_p is not None
    assert (result.family, other.p_adjusted) == (1, other.p)
    assert same.df == 3
    assert same.non_inferior is False  # four queries, one of them scoring 0, show nothing
    # Wilcoxon's test needs no spread: there the shift counts.
    assert compare([system("base", base), system("up", [one + 0.25 for one in base])], test="wilcoxon").family == 1


@pytest.mark.parametrize("test", ["t-test", "wilcoxon", "permutation", "bootstrap"])
def test_p_is_that_of_the_test(test):
    for one in compare(table(), test=test, correction="none").comparisons:
        named = {"wilcoxon": one.wilcoxon_p, "permutation": one.permutation_p}
        assert one.p == one.p_adjusted == named.get(test, one.p)
        assert one.t is not None
        assert 0 < one.p <= 1


def test_a_test_that_cannot_reach_alpha_says_so():
    systems = [system(f"s{place}", np.random.default_rng(place).uniform(size=5)) for place in range(3)]
    assert "no p below 0.062" in compare(systems, test="permutation").notes[0]
    assert compare(systems).notes == ()


def test_non_inferiority_by_both_kinds_of_margin():
    systems = table()
    relative = {one.system: one.non_inferior for one in compare(systems).comparisons}
    assert relative == {"bm25": False, "better": True, "near": relative["near"]}
    assert compare(systems, noninferiority=0.5, margin_kind="absolute").comparisons[0].non_inferior is True
    assert compare(systems, noninferiority=0.1, margin_kind="absolute").comparisons[0].non_inferior is False


def test_intervals_have_the_level_of_the_larger_alpha():
    systems = table()
    wide, narrow = (compare(systems, alpha=alpha).comparisons[0] for alpha in ((0.01,), (0.01, 0.1)))
    assert wide.ci_high - wide.ci_low > narrow.ci_high - narrow.ci_low
    assert compare(systems, alpha=(0.01, 0.1)).alpha == (0.1, 0.01)


@given(st.randoms(use_true_random=False))
def test_the_order_of_queries_changes_nothing(random):
    systems = table()
    shuffled = []
    for one in systems:
        rows = list(one.per_query["nDCG@10"].items())
        random.shuffle(rows)
        shuffled.append(System(one.name, {"nDCG@10": dict(rows)}))
    assert compare(shuffled) == compare(systems)


def test_systems_judged_on_different_queries_are_refused_unless_the_shared_ones_are_asked_for():
    systems = [system("a", [0.1, 0.2, 0.3, 0.4]), system("b", [0.3, 0.1, 0.9])]
    with pytest.raises(UserError, match=r"'a' and 'b' were judged on different queries \(4 and 3; 'q3'.*only for 'a'"):
        compare(systems)
    result = compare(systems, queries="intersection")
    assert (result.policy["n"], result.policy["queries"], result.policy["left_out"]) == (3, "intersection", 1)
    with pytest.raises(UserError, match="no query"):
        compare([systems[0], System("c", {"nDCG@10": {"x": 1.0}})], queries="intersection")


def test_missing_queries_score_zero_and_are_counted_or_left_out():
    systems = [
        system("a", [0.1, 0.2, 0.3, 0.0], missing=frozenset({"q3"})),
        system("b", [0.3, 0.1, 0.9, 0.8], unjudged=2),
    ]
    judged = compare(systems)
    assert judged.policy["missing"] == {"a": 1, "b": 0}
    assert judged.policy["unjudged"] == {"a": 0, "b": 2}
    assert judged.mean("a", "nDCG@10").mean == pytest.approx(0.15)
    shared = compare(systems, queries="intersection")
    assert (shared.policy["n"], shared.mean("a", "nDCG@10").mean) == (3, pytest.approx(0.2))


def test_one_system_has_a_mean_and_no_comparison():
    result = compare([system("only", [0.5, 0.7])])
    assert (result.family, result.comparisons, result.systems[0].mean) == (0, (), 0.6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test": "ttest"}, "--test: there is no 'ttest'; did you mean 't-test'?"),
        ({"pairs": "al"}, "--pairs"),
        ({"queries": "union"}, "--queries"),
        ({"correction": "hollm"}, "--correction: there is no 'hollm'; did you mean 'holm'?"),
        ({"margin_kind": "percent"}, "--margin-kind"),
        ({"alpha": ()}, "--alpha"),
        ({"alpha": (0.1, 0.05, 0.01)}, "--alpha"),
        ({"alpha": (1.0,)}, "--alpha"),
        ({"noninferiority": 3}, "--non-inferiority"),
        ({"noninferiority": math.nan}, "--non-inferiority"),
        ({"baselines": ["teachers"]}, "the systems are: bm25, teacher, better, near"),
        ({"measures": ["RR@10"]}, "system 'bm25' has no values of RR@10"),
        ({"measures": ["rr@10"]}, "did you mean 'RR@10'"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(UserError) as caught:
        compare(table(), **options)
    assert words in str(caught.value)


def test_wrong_systems_are_named():
    with pytest.raises(UserError, match="no system"):
        compare([])
    with pytest.raises(UserError, match="two systems are called 'a'; rename one with NAME=PATH"):
        compare([system("a", [1.0]), system("b", [1.0]), system("a", [0.5])])
    for value in (math.nan, math.inf):
        with pytest.raises(UserError, match=r"system 'b': nDCG@10 of query 'q1' is .*not a finite number"):
            compare([system("a", [1.0, 0.5]), system("b", [0.5, value])])


def test_comparing_needs_neither_torch_nor_transformers_nor_textual():
    code = (
        "import sys\n"
        "from distilkit.comparison import System, compare, formats, read_systems, render\n"
        "assert 'scipy' not in sys.modules and 'ir_measures' not in sys.modules\n"
        "systems = [System(name, {'RR@10': {'q': 0.5, 'p': value}}) for name, value in (('a', 0.1), ('b', 0.3))]\n"
        "result = compare(systems, measures='RR@10')\n"
        "for name in formats:\n"
        "    if name != 'html': render(result, name)\n"
        "assert not {'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "render(result, 'html')\n"
        "heavy = {'torch', 'transformers', 'textual', 'pandas', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_level_that_the_test_can_only_just_not_reach_is_told():
    values = [0.1, 0.4, 0.3, 0.8, 0.2]
    pair = [system("teacher", values), system("student", [value + 0.1 for value in values])]
    # Of 5 queries no permutation gives a p below 2/32, and a mark needs less than the level.
    told = compare(pair, test="permutation", alpha=[0.0625])
    assert "no difference can be significant" in told.notes[0]
    assert told.comparisons[0].p == 0.0625
    assert told.mean("student", "nDCG@10").superscripts == ""
    assert compare(pair, test="permutation", alpha=[0.063]).notes == ()


def test_the_star_is_of_the_first_baseline_alone():
    random = np.random.default_rng(1)
    base = random.uniform(0.3, 0.7, 12)
    systems = [
        system("low", base - 0.2 + random.normal(0, 0.01, 12)),
        system("high", base),
        system("middle", base - 0.1 + random.normal(0, 0.01, 12)),
    ]
    column = (None, "nDCG@10")
    starred = compare(systems, baselines=["low", "high"]).starred
    assert [starred(name, column) for name in ("low", "high", "middle")] == [False, True, True]
    starred = compare(systems, baselines=["high", "low"]).starred
    assert [starred(name, column) for name in ("low", "high", "middle")] == [False, False, False]


@pytest.mark.parametrize(
    ("names", "kinds", "baselines", "about"),
    [
        (("bm25", "teacher", "student"), ("bm25", "teacher", "run"), ["bm25", "teacher"], "teacher"),
        (("bm25", "teacher large", "student"), ("bm25", "teacher", "run"), ["bm25", "teacher large"], "teacher large"),
        (("bm25", "teacher", "student"), ("file", "file", "file"), ["bm25", "teacher"], "teacher"),
        (("bm25", "teacher", "student"), ("bm25", "teacher", "run"), None, "teacher"),
        (("bm25", "teacher", "student"), ("bm25", "teacher", "run"), ["bm25"], "bm25"),
    ],
)
def test_the_star_is_about_the_teacher_where_it_is_a_baseline(names, kinds, baselines, about):
    base = np.random.default_rng(1).uniform(0.3, 0.7, 12)
    noise = np.random.default_rng(2).normal(0, 0.01, (3, 12))
    # The student is better than BM25 and worse than the teacher by more than the margin.
    systems = [
        system(name, base + shift + one, kind=kind)
        for name, kind, shift, one in zip(names, kinds, (0, 0.3, 0.1), noise, strict=True)
    ]
    result = compare(systems, baselines=baselines)
    assert result.reference == about
    assert result.starred("student", (None, "nDCG@10")) == (about == "bm25")
    assert any(line.startswith(f"*: non-inferior to {about.replace('bm25', 'BM25')} (3 %; ") for line in legend(result))

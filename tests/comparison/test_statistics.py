"""The paired tests against R's figures, brute force and their own laws."""

import itertools
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.comparison import margins, paired_tests, resampling, seeded_test
from distilkit.comparison.corrections import adjust

SHARED = Path(__file__).parents[2].parent / "shared"


def reciprocals(ranks):
    """Return 1/rank for each rank, 0 for rank 0; what has a point is not a rank but a value."""
    return [float(one) if "." in one else 0.0 if one == "0" else 1 / int(one) for one in ranks.split()]


# R 4.2.2: t.test(paired = TRUE), wilcox.test(exact = FALSE, correct = FALSE), p.adjust; None where R has no value.
FIFTY = reciprocals(
    "3 6 10 1 7 3 6 1 0 1 1 3 1 2 0 1 1 4 4 4 8 3 1 1 1 2 0 2 2 1 2 1 1 2 1 10 1 4 8 2 5 3 0 2 1 1 4 2 2 2"
)
NOISY = reciprocals(
    "3 5 3 1 1 0 1 3 3 1 9 9 0 3 1 8 2 2 2 0 1 1 5 4 3 1 1 2 3 1 1 1 7 1 1 1 2 1 2 6 1 4 0 1 0 8 4 4 2 1"
)
TEACHER = reciprocals("3 1 6 0 1 0 5 0 0 2 1 1 2 2 5 1 0 1 4 1 0 4 1 1 2 1 0 3 2 2 1 8 0 1 1 2 1 1 2 0 1 5 2")
TINYBERT = reciprocals("1 0 2 0 0 10 0 1 7 0 0 1 8 6 4 2 2 1 0 2 0 4 1 1 0 2 1 0 0 1 2 1 1 0 6 3 1 0 1 0 0 0 2")
SIMPLIFIED = reciprocals(
    "1 0 1 0 0 0.6 0 1 0.642857142857143 0 2 1 8 6 0.75 2 2 1 0 2 0 0.75 1 1 2 2 1 2 0 1 1 1 1 0 6 3 1 0 1 0 0 2 1"
)
STANDARD_KD = reciprocals("3 10 4 0 2 0 2 1 4 5 9 3 2 1 4 0 2 3 1 7 1 2 5 0 5 3 3 0 0 3 2 2 1 3 1 1 5 0 0 9 0 1 6")
CORRECTIONS = {"bonferroni": "bonferroni", "holm": "holm", "benjamini_hochberg": "bh"}
CASES = [
    {
        "name": "trec-dl-sized reciprocal ranks",
        "baseline": "teacher",
        "margin": 0.03,
        "scores": {"teacher": TEACHER, "tinybert": TINYBERT, "simplified": SIMPLIFIED, "standard_kd": STANDARD_KD},
        "expected": [
            {
                "system": "tinybert", "mean": 0.396151716500554, "mean_difference": -0.128460686600221,
                "t": -1.49289704852915, "df": 42, "p": 0.14293872758042, "ci_low": -0.302112420599439,
                "ci_high": 0.0451910473989964, "cohens_dz": -0.227664665554461, "wins": 12, "ties": 10, "losses": 21,
                "wilcoxon_p": 0.13817783425393, "noninferiority_t": -1.32914387420111,
                "noninferiority_p": 0.904512054709195,
            },
            {
                "system": "simplified", "mean": 0.52405869324474, "mean_difference": -0.000553709856035438,
                "t": -0.00609103648574507, "df": 42, "p": 0.995168926210137, "ci_low": -0.184008813392271,
                "ci_high": 0.1829013936802, "cohens_dz": -0.000928874355919856, "wins": 16, "ties": 10, "losses": 17,
                "wilcoxon_p": 0.857325782964313, "noninferiority_t": 0.169503883833168,
                "noninferiority_p": 0.433107056401516,
            },
            {
                "system": "standard_kd", "mean": 0.372443706164636, "mean_difference": -0.152168696936139,
                "t": -1.654984500672, "df": 42, "p": 0.105382531646383, "ci_low": -0.337722617775793,
                "ci_high": 0.033385223903515, "cohens_dz": -0.2523827702751, "wins": 16, "ties": 5, "losses": 22,
                "wilcoxon_p": 0.0976943822812049, "noninferiority_t": -1.5092242173058,
                "noninferiority_p": 0.930635843438539,
            },
        ],
        "adjusted_p": {
            "bonferroni": [0.42881618274126, 1, 0.316147594939148],
            "holm": [0.316147594939148, 0.995168926210137, 0.316147594939148],
            "benjamini_hochberg": [0.21440809137063, 0.995168926210137, 0.21440809137063],
        },
    },
    {
        "name": "two queries",
        "baseline": "teacher",
        "margin": 0.03,
        "scores": {"teacher": [0.5, 1.0], "a": [0.25, 0.5]},
        "expected": [
            {
                "system": "a", "mean": 0.375, "mean_difference": -0.375, "t": -3.0, "df": 1, "p": 0.204832764699133,
                "ci_low": -1.96327559202184, "ci_high": 1.21327559202184, "cohens_dz": -2.12132034355964, "wins": 0,
                "ties": 0, "losses": 2, "wilcoxon_p": 0.179712494879, "noninferiority_t": -3.0,
                "noninferiority_p": 0.897583617650433,
            }
        ],
        "adjusted_p": {key: [0.204832764699133] for key in CORRECTIONS},
    },
    {
        "name": "identical system and constant shift",
        "baseline": "teacher",
        "margin": 0.05,
        "scores": {"teacher": FIFTY, "same": FIFTY, "shifted": [value + 0.25 for value in FIFTY], "noisy": NOISY},
        "expected": [
            {
                "system": "same", "mean": 0.530857142857143, "mean_difference": 0.0, "t": None, "df": 49, "p": None,
                "ci_low": None, "ci_high": None, "cohens_dz": None, "wins": 0, "ties": 50, "losses": 0,
                "wilcoxon_p": None, "noninferiority_t": 10.1552770264548, "noninferiority_p": 6.02027119510762e-14,
            },
            {
                "system": "shifted", "mean": 0.780857142857143, "mean_difference": 0.25, "t": None, "df": 49,
                "p": None, "ci_low": None, "ci_high": None, "cohens_dz": None, "wins": 50, "ties": 0, "losses": 0,
                "wilcoxon_p": 3.76012803311069e-11, "noninferiority_t": 105.805087555496,
                "noninferiority_p": 8.26074478898021e-60,
            },
            {
                "system": "noisy", "mean": 0.540301587301587, "mean_difference": 0.00944444444444444,
                "t": 0.115308165166396, "df": 49, "p": 0.908672110671965, "ci_low": -0.155152066623182,
                "ci_high": 0.174040955512071, "cohens_dz": 0.0163070371030674, "wins": 20, "ties": 10, "losses": 20,
                "wilcoxon_p": 0.882340334658283, "noninferiority_t": 0.450062721393071,
                "noninferiority_p": 0.327325059315672,
            },
        ],
        "adjusted_p": {key: [None, None, 0.908672110671965] for key in CORRECTIONS},
    },
]  # fmt: skip


def check(case, relative):
    """Compare every figure of a case; `relative` is 0 where the case's scores are printed to 15 digits only."""
    scores = {name: np.array(values, dtype=float) for name, values in case["scores"].items()}
    baseline = scores[case["baseline"]]
    found = []
    for expected in case["expected"]:
        system = scores[expected["system"]]
        difference = system - baseline
        student = seeded_test.t_test(difference[np.newaxis])
        wins, ties, losses = paired_tests.wins_ties_losses(difference)
        t, p = margins.noninferiority(system[np.newaxis], baseline[np.newaxis], case["margin"])
        values = {
            "mean": float(system.mean()), "mean_difference": float(difference.mean()), "t": student.t,
            "df": student.df, "p": student.p, "ci_low": student.ci_low, "ci_high": student.ci_high,
            "cohens_dz": student.cohens_dz, "wins": wins, "ties": ties, "losses": losses,
            "wilcoxon_p": paired_tests.wilcoxon_p(difference), "noninferiority_t": t, "noninferiority_p": p,
        }  # fmt: skip
        assert values == {name: near(expected[name], relative) for name in values}, expected["system"]
        found.append(student.p)
    for name, method in CORRECTIONS.items():
        assert adjust(found, method) == [near(value, 1e-9) for value in case["adjusted_p"][name]]


def near(value, relative):
    return value if value is None else pytest.approx(value, rel=relative, abs=0 if relative else 1e-9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_figures_are_rs(case):
    check(case, relative=1e-9)


def test_the_figures_are_rs_on_all_cases():
    oracle = SHARED / "oracles" / "significance.json"
    if not oracle.is_file():
        pytest.skip("needs ../shared/oracles/significance.json")
    for case in json.loads(oracle.read_text())["cases"]:
        check(case, relative=0)


def test_noninferiority_of_ten_queries():
    base = np.array([0.5, 0.33, 1, 0.25, 0.5, 0.2, 1, 0.1, 0.5, 0.33])
    difference = np.array([0.02, -0.05, 0, 0.1, -0.01, 0.03, -0.04, 0, 0.05, -0.02])
    student = seeded_test.t_test(difference[np.newaxis])
    assert (student.t, student.p) == pytest.approx((0.5694947974514992, 0.5829529799757752), abs=1e-12)
    assert margins.noninferiority((base + difference)[np.newaxis], base[np.newaxis], 0.03) == pytest.approx(
        (1.6520804142621355, 0.06645545771720751), abs=1e-12
    )
    absolute = margins.noninferiority(
        (base + difference)[np.newaxis], base[np.newaxis], 0.03 * float(base.mean()), "absolute"
    )
    assert absolute == pytest.approx((1.5753649834502097, 0.07481271732927386), abs=1e-12)


def test_the_minimum_detectable_difference():
    assert paired_tests.minimum_detectable_difference(np.array([0.0, 1.0, 0.0, 1.0])) == pytest.approx(
        (1.959963984540054 + 0.8416212335729143) * math.sqrt(1 / 3) / 2, abs=1e-12
    )
    assert paired_tests.minimum_detectable_difference(np.zeros(3)) == 0
    assert paired_tests.minimum_detectable_difference(np.zeros(1)) is None


def test_one_query_has_no_t():
    assert seeded_test.t_test(np.array([[0.5]])) == seeded_test.TTest(df=0)
    assert margins.noninferiority(np.array([[0.5]]), np.array([[0.25]]), 0.03) == (None, None)
    assert resampling.permutation_p(np.array([[0.5]])) == [1.0]
    assert resampling.bootstrap_p(np.array([[0.5]])) == [None]


grades = st.integers(-4, 4).map(lambda value: value / 8)
differences = st.lists(grades, min_size=2, max_size=40).map(np.array)


@given(differences)
def test_the_tests_are_antisymmetric(difference):
    there, back = seeded_test.t_test(difference[np.newaxis]), seeded_test.t_test(-difference[np.newaxis])
    if there.t is None or back.t is None:
        assert there == back
    else:
        assert (back.t, back.p, back.cohens_dz) == (-there.t, there.p, -there.cohens_dz)
        assert (back.ci_low, back.ci_high) == (-there.ci_high, -there.ci_low)
    assert paired_tests.wins_ties_losses(-difference) == paired_tests.wins_ties_losses(difference)[::-1]
    if difference.any():
        assert paired_tests.wilcoxon_p(-difference) == pytest.approx(paired_tests.wilcoxon_p(difference), abs=1e-12)
    assert paired_tests.minimum_detectable_difference(-difference) == paired_tests.minimum_detectable_difference(
        difference
    )


@given(st.lists(st.lists(grades, min_size=5, max_size=5), min_size=1, max_size=4))
def test_the_exact_permutation_test_is_the_brute_force(rows):
    expected = []
    for row in rows:
        sums = [abs(sum(sign * value for sign, value in zip(signs, row, strict=True)))
                for signs in itertools.product((1, -1), repeat=len(row))]  # fmt: skip
        expected.append(sum(one >= sums[0] for one in sums) / len(sums) if any(row) else None)
    assert resampling.permutation_p(np.array(rows)) == expected


def test_sums_that_are_equal_on_paper_count_as_equal():
    # 0.1 + 0.2 - 0.3 and its kin are not quite zero in floating point.
    assert resampling.permutation_p(np.array([[0.1, 0.2, -0.3, 1e-3]])) == [1.0]


@settings(max_examples=10)
@given(st.lists(grades, min_size=14, max_size=20))
def test_drawn_permutations_depend_on_no_other_comparison_and_are_never_zero(row):
    alone, twice = resampling.permutation_p(np.array([row])), resampling.permutation_p(np.array([row, row[::-1]]))
    assert alone == twice[:1]
    assert alone == [None] if not any(row) else 1 / 10_001 <= alone[0] <= 1


def test_drawn_permutations_and_resamples_agree_with_the_t_test():
    random = np.random.default_rng(7)
    rows = random.normal(loc=np.linspace(0, 0.3, 6)[:, None], size=(6, 100))
    student = [seeded_test.t_test(row[np.newaxis]).p for row in rows]
    assert resampling.permutation_p(rows) == pytest.approx(student, abs=0.02)
    assert resampling.bootstrap_p(rows) == pytest.approx(student, abs=0.03)
    assert resampling.permutation_p(rows) == resampling.permutation_p(rows)
    assert resampling.bootstrap_p(rows) == resampling.bootstrap_p(rows)


def test_all_pairs_of_ten_systems_on_msmarco_dev_take_seconds():
    random = np.random.default_rng(1)
    systems = random.choice([0, 0.1, 0.2, 0.5, 1], size=(10, 6980))
    rows = np.array([systems[one] - systems[other] for one, other in itertools.combinations(range(10), 2)])
    start = time.process_time()
    found = resampling.permutation_p(rows)
    assert time.process_time() - start < 10  # 0.8 on a core that nothing else slows
    assert found == pytest.approx([seeded_test.t_test(row[np.newaxis]).p for row in rows], abs=0.02)


def test_a_clear_difference_has_the_smallest_p():
    rows = np.array([[1.0] * 30 + [0.9], [0.0] * 31])
    assert resampling.permutation_p(rows) == [1 / 10_001, None]
    assert resampling.bootstrap_p(rows) == [1 / 10_001, None]


def test_wilcoxon_ranks_ties_by_their_mean():
    # V = 4 + 2 + 2 = 8 of ranks 2 2 2 4; deviation = sqrt(4·5·9/24 - (27 - 3)/48) = sqrt(7).
    p = paired_tests.wilcoxon_p(np.array([0.5, 0.5, -0.5, 0.0, 1.0]))
    assert p == pytest.approx(math.erfc((8 - 5) / math.sqrt(7) / math.sqrt(2)), abs=1e-12)


@pytest.mark.parametrize(("n", "exact"), [(12, True), (13, True), (14, False)])
def test_permutations_are_all_tried_up_to_thirteen_queries(n: int, exact: bool) -> None:
    differences = np.random.default_rng(n).normal(0.1, 1, (3, n))
    for p in resampling.permutation_p(differences):
        assert p is not None
        count = p * 2**n if exact else p * (1 + resampling.DRAWS)
        assert count == pytest.approx(round(count), abs=1e-6)
        assert round(count) > 0

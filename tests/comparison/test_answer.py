"""The answer: what is not separable from the best, what is non-inferior from which margin on, the cheapest."""

import json

import numpy as np
import pytest
from finished_runs import finished_runs

from distilkit.comparison import forest
from distilkit.comparison.answer_words import answer, verdict
from distilkit.comparison.compare import compare
from distilkit.comparison.margins import noninferiority, smallest_margin
from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.systems import System, read_systems

KEYS = ("measure", "baseline", "margin", "ranking", "best", "not_separable_from_best", "non_inferior", "recommended")


def systems(shifts, n=60, noise=0.05, seed=0):
    random = np.random.default_rng(seed)
    base = random.uniform(0.3, 0.7, n)
    return [
        System(name, {"nDCG@10": {f"q{row}": float(one) for row, one in enumerate(base + shift + wobble)}})
        for name, (shift, wobble) in {
            name: (shift, random.normal(0, noise, n) if name != "teacher" else np.zeros(n))
            for name, shift in shifts.items()
        }.items()
    ]


@pytest.mark.parametrize("kind", ["relative", "absolute"])
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("seeds", [1, 3])
def test_the_smallest_margin_is_where_the_test_begins_to_pass(kind, seed, seeds):
    random = np.random.default_rng(seed)
    baseline = random.uniform(0, 1, (1, 30))
    system = baseline + random.normal(random.uniform(-0.2, 0.1), 0.2, 30) + random.normal(0, 0.03, (seeds, 1))
    found = smallest_margin(system, baseline, kind)
    below, above = (noninferiority(system, baseline, found + step, kind)[1] for step in (-1e-6, 1e-6))
    assert above < 0.05 < below


def test_a_system_with_nothing_has_no_smallest_margin():
    assert smallest_margin(np.zeros((1, 9)), np.linspace(0.1, 0.9, 9)[np.newaxis]) is None


def test_the_answer_of_known_differences():
    found = compare(systems({"bad": -0.3, "teacher": 0.0, "close": -0.002, "best": 0.001}), noninferiority=0.05).answer
    assert (found.baseline, found.measure, found.margin) == ("teacher", "nDCG@10", 0.05)
    assert found.ranking[-1] == "bad"
    assert {found.best, *found.not_separable_from_best} == {"teacher", "close", "best"}
    assert {one.name for one in found.non_inferior} == {"close", "best"}
    assert all(0 <= one.smallest_margin < 0.05 for one in found.non_inferior)
    assert found.recommended is None  # nothing states what it costs
    assert [line.name for line in found.forest] == list(found.ranking)
    lines = {line.name: line for line in found.forest}
    assert (lines["bad"].verdict, lines["close"].verdict) == ("worse", "inconclusive")


@pytest.mark.parametrize("correction", ["none", "holm", "bonferroni", "bh"])
@pytest.mark.parametrize("seed", range(6))
def test_the_lines_agree_with_the_verdicts(correction, seed):
    shifts = {"teacher": 0.0} | {f"s{place}": shift for place, shift in enumerate(np.linspace(-0.05, 0.05, 9))}
    result = compare(systems(shifts, seed=seed), correction=correction)
    for line in result.answer.lines:
        assert (line.ci_low > 0 or line.ci_high < 0) == (line.verdict != "inconclusive")
        # The interval of the margin ends right of the band's left edge exactly where the test passes.
        assert (line.margin_low > result.answer.margin_low) == line.non_inferior
    letters = {one.name: one.superscripts for one in result.systems}
    assert {line.name for line in result.answer.lines if line.verdict != "inconclusive"} == {
        name for name, marks in letters.items() if marks
    }


def test_a_pair_that_the_report_compares_is_separable_there_and_here():
    result = compare(systems({"teacher": 0.2, "a": 0.19, "b": 0.1, "c": -0.1}))
    assert result.answer.best == "teacher"
    inconclusive = {one.system for one in result.comparisons if one.p_adjusted >= 0.05}
    assert set(result.answer.not_separable_from_best) == inconclusive


def test_the_cheapest_that_is_non_inferior_is_taken(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    result = compare(read_systems(["s", "other"], runs_dir=runs), noninferiority=0.9)
    assert {one.name for one in result.answer.non_inferior} >= {"s", "other", "bm25"}
    assert result.answer.recommended == "bm25"  # what re-ranks nothing costs nothing
    ranked = [name for name in result.answer.ranking if name in ("s", "other", "s-label_only")]
    without = compare([one for one in result.sources if one.kind != "bm25"], noninferiority=0.9).answer
    assert without.recommended == ranked[0]  # of equal cost the best

    def other_costs(macs, names):
        path = runs / "other" / "eval" / "test" / "cost.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "macs_per_pair": macs}))
        read = [one for one in read_systems(names, runs_dir=runs) if one.kind != "bm25"]
        found = compare(read, noninferiority=0.9)
        assert found.answer.recommended == "other"
        return dict(answer(found))["Take"]

    taken = other_costs(1, ["s", "other"])
    assert taken.startswith("other, the cheapest that is non-inferior to teacher (1 multiply-accumulates a pair")
    # Where a student costs more than what it is held against, that is said.
    taken = other_costs(45_800_000_000, ["other"])
    assert taken.endswith("(45.8G multiply-accumulates a pair, 2 times teacher's 22.9G; teacher itself is cheaper).")


def test_what_comes_closest_is_said_where_nothing_passes():
    result = compare(systems({"teacher": 0.0, "a": -0.05, "b": -0.3}))
    told = dict(answer(result))
    margin = next(line.smallest_margin for line in result.answer.forest if line.name == "a")
    assert told["Take"].startswith("no system is shown to be non-inferior to teacher at 3 %; a comes closest")
    assert told["Take"].endswith(f"would be at {np.ceil(1000 * margin) / 10:.1f} %.")
    assert "every other system is significantly below it" in told["Best"]


def test_every_format_has_the_answer():
    result = compare(systems({"teacher": 0.0, "a": 0.001, "b": -0.3}), noninferiority=0.05)
    told = dict(answer(result))
    for name in formats:
        text = " ".join(render(result, name, Screen(200)).split())
        if name == "json":
            whole = json.loads(render(result, name))
            value = whole["answer"]
            assert tuple(value) == KEYS
            assert [line["name"] for line in whole["forest"]["lines"]] == value["ranking"]
            assert value["non_inferior"][0].keys() == {"name", "smallest_margin"}
        elif name != "csv":
            assert "every other" in text or "not significantly above" in text, name
            assert told["Take"][:20] in text, name


def test_a_single_system_and_equal_ones_have_an_answer_too():
    (only,) = systems({"teacher": 0.0})
    result = compare([only])
    assert (result.answer.ranking, result.answer.recommended, answer(result)) == (("teacher",), None, [])
    twice = compare([only, System("copy", only.per_query)])
    assert twice.answer.not_separable_from_best == ("copy",)
    assert [verdict(twice, line) for line in twice.answer.forest] == ["baseline", "equal"]
    assert "equal" in render(twice)


@pytest.mark.parametrize("width", [10, 20, 47])
def test_a_line_is_as_wide_as_asked_and_shows_what_it_says(width):
    found = compare(systems({"teacher": 0.0, "a": 0.03, "b": -0.03, "c": -0.2})).answer
    within = forest.scale(found)
    for line in found.forest:
        drawn = forest.drawn(found, line, within, width)
        assert len(drawn) == width
        assert drawn.index(forest.POINT) == round(within.share(line.difference) * (width - 1))
        assert "".join(text for text, _ in forest.segments(drawn)) == drawn
    assert len(forest.axis(found, within, width)) == width


def test_lines_far_away_are_cut_and_marked():
    shifts = {"teacher": 0.0} | {f"s{place}": -0.01 * place for place in range(6)} | {"far": -3.0, "farther": -4.0}
    found = compare(systems(shifts)).answer
    within = forest.scale(found)
    assert within.low > -1
    lines = {line.name: forest.drawn(found, line, within, 40) for line in found.forest}
    assert lines["far"][0] == forest.CUT[0]
    assert forest.CUT[1] not in lines["far"]
    assert forest.POINT in lines["s5"]

"""Several seeds of one system: which runs are one, their mean and spread, and the test over queries and seeds."""

import json

import numpy as np
import pytest
from finished_runs import write_record

from distilkit.comparison import margins, seeded_test
from distilkit.comparison.compare import compare
from distilkit.comparison.render import formats, render
from distilkit.comparison.run_files import example_line
from distilkit.comparison.systems import System, read_systems
from distilkit.comparison.tables import build
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels

QRELS = {f"q{number}": {f"d{number}": 1} for number in range(6)}


def ranking(ranks):
    """Return a run that has each query's relevant document at a rank, 0 for nowhere."""
    return {
        f"q{number}": [(f"d{number}" if place == rank else f"x{place}", float(10 - place)) for place in range(1, 6)]
        for number, rank in enumerate(ranks)
    }


def make_run(
    runs, name, ranks, seed=1, strategy="margin_mse", twin=None, twin_of=None, teacher=(1, 1, 1, 1, 2, 1), data="f"
):
    folder = runs / name
    folder.mkdir(parents=True)
    resolved = {"name": name, "seed": seed, "description": f"seed {seed}", "strategy": {"name": strategy}}
    write_record(folder, name, seed=seed, resolved=resolved, data={"fingerprint": data}, twin=twin, twin_of=twin_of)
    home = folder / "eval" / "test"
    places = [(home, ranks)]
    if teacher is not None:
        places += [(home / "references" / "teacher", teacher), (home / "references" / "bm25", (3, 0, 2, 5, 1, 4))]
    for place, found in places:
        run = ranking(found)
        write_evaluation(place, "test", run, evaluate(run, QRELS, "RR@10"), "t")
    write_qrels(home / "qrels.tsv", QRELS)


@pytest.fixture
def runs(tmp_path):
    """Return a suite of two strategies with three and two seeds, one of them with twins."""
    folder = tmp_path / "runs"
    for seed, ranks in ((1, (1, 2, 1, 1, 3, 1)), (2, (1, 1, 1, 2, 3, 2)), (3, (2, 1, 1, 1, 3, 4))):
        make_run(
            folder, f"s/margin_mse-dot-T1-seed{seed}", ranks, seed, twin=f"s/margin_mse-dot-T1-seed{seed}-label_only"
        )
        make_run(
            folder, f"s/margin_mse-dot-T1-seed{seed}-label_only", (2, 2, 1, 3, 1, seed), seed, "fine_tune",
            twin_of="x", teacher=None,
        )  # fmt: skip
    for seed in (1, 2):
        make_run(folder, f"s/ranknet-dot-T1-seed{seed}", (1, 2, 2, 2, 3, seed), seed, "ranknet")
    return folder


def names(systems):
    return [(one.name, one.seeds) for one in systems]


def test_a_suite_is_its_systems_with_their_seeds_and_each_reference_once(runs):
    systems = read_systems(["s"], runs_dir=runs)
    assert names(systems) == [
        ("bm25", 1), ("teacher", 1), ("s/margin_mse-dot-T1-label_only", 3), ("s/margin_mse-dot-T1", 3),
        ("s/ranknet-dot-T1", 2),
    ]  # fmt: skip
    student = systems[3]
    assert student.per_query["RR@10"]["q5"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)
    assert [one["RR@10"]["q5"] for one in student.replicates] == [1, 1 / 2, 1 / 4]
    assert len(student.origins) == 3
    result = compare(systems)
    assert {one.name: one.seeds for one in result.systems}["s/ranknet-dot-T1"] == 2
    assert result.mean("s/margin_mse-dot-T1", "RR@10").mean == pytest.approx(
        np.mean([[1, 1 / 2, 1, 1, 1 / 3, 1], [1, 1, 1, 1 / 2, 1 / 3, 1 / 2], [1 / 2, 1, 1, 1, 1 / 3, 1 / 4]])
    )


def test_runs_named_one_by_one_are_averaged_too_unless_they_are_renamed(runs):
    seeds = [f"s/margin_mse-dot-T1-seed{seed}" for seed in (1, 2)]
    assert names(read_systems(seeds, runs_dir=runs))[-1] == ("s/margin_mse-dot-T1", 2)
    apart = read_systems([f"a={seeds[0]}", f"b={seeds[1]}"], runs_dir=runs)
    assert [one for one in names(apart) if one[0] in ("a", "b")] == [("a", 1), ("b", 1)]


def test_what_differs_in_more_than_the_seed_stays_apart(tmp_path):
    make_run(tmp_path, "a-seed1", (1, 2, 1, 1, 3, 1), 1)
    make_run(tmp_path, "a-seed2", (1, 2, 1, 1, 3, 1), 2, strategy="ranknet")
    make_run(tmp_path, "again", (1, 2, 1, 1, 3, 2), 1)
    systems = read_systems(["a-seed1", "a-seed2", "again"], runs_dir=tmp_path)
    assert names(systems)[2:] == [("a-seed1", 1), ("a-seed2", 1), ("again", 1)]


def test_a_run_of_an_earlier_version_is_a_seed_of_those_of_this_one(tmp_path):
    def settings(number, **general):
        data = {"source": "pydocs", "max_length": 48}
        table = {"name": f"m-seed{number}", "seed": number, "strategy": {"name": "margin_mse"}, "data": data}
        return table | ({"general": general} if general else {})

    for number, general in ((1, {}), (2, {"pairs": False}), (3, {"pairs": True}), (4, {"no_key_of_today": 1})):
        make_run(tmp_path, f"m-seed{number}", (1, 2, 1, 1, 3, number), number)
        record = {"resolved": settings(number, **general), "data": {"fingerprint": "f"}}
        write_record(tmp_path / f"m-seed{number}", f"m-seed{number}", seed=number, **record)
    one, two, three, four = (f"m-seed{number}" for number in (1, 2, 3, 4))
    assert names(read_systems([one, two], runs_dir=tmp_path))[2:] == [("m", 2)]
    assert names(read_systems([one, two, three], runs_dir=tmp_path))[2:] == [("m", 2), (three, 1)]
    assert names(read_systems([one, four], runs_dir=tmp_path))[2:] == [(one, 1), (four, 1)]


def lacking(*queries):
    """Return a run that has no results for some queries."""
    return {query: results for query, results in ranking((1, 2, 1, 1, 3, 1)).items() if query not in queries}


def write_student(runs, name, run, seed, qrels=QRELS):
    """Write the student's results of one seed of `s`."""
    make_run(runs, name, (1, 1, 1, 1, 1, 1), seed, teacher=None)
    home = runs / name / "eval" / "test"
    write_evaluation(home, "test", run, evaluate(run, qrels, "RR@10"), "t")
    write_qrels(home / "qrels.tsv", qrels)


def test_a_query_that_one_seed_has_no_results_for_is_missing_from_the_system(tmp_path):
    write_student(tmp_path, "s-seed1", lacking("q1", "q2"), 1)
    write_student(tmp_path, "s-seed2", lacking("q2", "q3"), 2)
    write_student(tmp_path, "other", lacking("q5"), 1)
    systems = read_systems(["s-seed1", "s-seed2", "o=other"], runs_dir=tmp_path)
    assert names(systems) == [("s", 2), ("o", 1)]
    assert systems[0].missing == {"q1", "q2", "q3"}
    assert systems[0].per_query["RR@10"]["q1"] == 1 / 2 / 2
    assert systems[0].per_query["RR@10"]["q2"] == 0
    judged, shared = compare(systems), compare(systems, queries="intersection")
    assert judged.policy["missing"] == {"s": 3, "o": 1}
    assert (judged.policy["n"], shared.policy["n"], shared.policy["left_out"]) == (6, 2, 4)


def test_what_seeds_count_apart_is_told_of_all(tmp_path):
    write_student(tmp_path, "s-seed1", {**lacking(), "x": [("d", 1.0)]}, 1)
    write_student(tmp_path, "s-seed2", {**lacking(), "x": [("d", 1.0)], "y": [("d", 1.0)]}, 2)
    (system,) = read_systems(["s-seed1", "s-seed2"], runs_dir=tmp_path)
    alone = [read_systems([name], runs_dir=tmp_path)[0] for name in ("s-seed1", "s-seed2")]
    assert system.unjudged == 2
    assert system.judged.share == pytest.approx(sum(one.judged.share for one in alone) / 2)
    assert system.fingerprint == "+".join(one.fingerprint for one in alone)
    assert len({one.fingerprint for one in alone}) == 2


def test_seeds_that_were_judged_on_other_queries_stay_apart(tmp_path):
    write_student(tmp_path, "s-seed1", lacking(), 1)
    fewer = {query: grades for query, grades in QRELS.items() if query != "q0"}
    write_student(tmp_path, "s-seed2", lacking(), 2, fewer)
    assert names(read_systems(["s-seed1", "s-seed2"], runs_dir=tmp_path)) == [("s-seed1", 1), ("s-seed2", 1)]


def test_runs_on_other_data_and_twins_are_no_seeds_of_a_run(tmp_path):
    for seed, changes in ((1, {}), (2, {"data": "other"}), (3, {"twin_of": "x"})):
        make_run(tmp_path, f"s-seed{seed}", (1, 2, 1, 1, 3, seed), seed, teacher=None, **changes)
    found = names(read_systems(["s-seed1", "s-seed2", "s-seed3"], runs_dir=tmp_path))
    assert found == [("s-seed1", 1), ("s-seed2", 1), ("s-seed3", 1)]


def test_seeds_are_not_called_as_another_system_is(tmp_path):
    for seed in (1, 2):
        write_student(tmp_path, f"s-seed{seed}", lacking(), seed)
    make_run(tmp_path, "s", (1, 1, 1, 1, 1, 2), strategy="ranknet", teacher=None)
    assert names(read_systems(["s-seed1", "s-seed2", "s"], runs_dir=tmp_path)) == [("s-seed1", 2), ("s", 1)]


def test_seeds_may_be_called_as_one_of_them_is(tmp_path):
    for seed, name in ((1, "s"), (2, "s-seed2")):
        write_student(tmp_path, name, lacking(), seed)
    assert names(read_systems(["s-seed2", "s"], runs_dir=tmp_path)) == [("s", 2)]


def spread(between, seeds=3, n=60):
    """Return a baseline and a system whose seeds differ by `between`."""
    random = np.random.default_rng(4)
    queries = [f"q{number}" for number in range(n)]
    base = random.uniform(0.2, 0.8, n)
    noise = random.normal(0, 0.05, n)
    tables = [
        {"RR@10": dict(zip(queries, base + 0.05 + between * place + noise, strict=True))} for place in range(seeds)
    ]
    mean = {query: float(np.mean([one["RR@10"][query] for one in tables])) for query in queries}
    return [
        System("base", {"RR@10": dict(zip(queries, base, strict=True))}),
        System("system", {"RR@10": mean}, replicates=tuple(tables)),
    ]


def width(systems, seeds):
    one = compare(systems, seeds=seeds).comparisons[0]
    return one.ci_high - one.ci_low


def test_a_test_over_seeds_widens_the_interval_by_the_spread_between_them():
    alike, apart = spread(0.0), spread(0.04)
    assert width(alike, "hierarchical") == pytest.approx(width(alike, "mean"))
    assert width(apart, "hierarchical") > 2 * width(apart, "mean")
    # Seeds 0, 0.04 and 0.08 have a deviation of 0.04; with so much of it 2.3 degrees of freedom remain, and t is 3.8.
    assert width(apart, "hierarchical") == pytest.approx(2 * 3.8 * (0.04**2 / 3 + 0.05**2 / 60) ** 0.5, rel=0.05)


def test_its_p_its_interval_and_its_degrees_of_freedom_are_of_one_test():
    result = compare(spread(0.04), seeds="hierarchical")
    one = result.comparisons[0]
    assert (result.test, result.seeds, result.family) == ("t-test", "hierarchical", 1)
    assert 2 < one.df < 3
    assert 0.04 < one.p < 0.06
    assert 0 < one.ci_low < 0.01
    # Clear over the queries of these models alone.
    assert compare(spread(0.04), seeds="mean").comparisons[0].p < 1e-6
    mean = result.mean("system", "RR@10")
    assert mean.ci_low < mean.mean < mean.ci_high
    assert (mean.seeds, mean.seed_deviation) == (3, pytest.approx(0.04))
    assert result.mean("base", "RR@10").seed_deviation is None


def test_seeds_are_tested_where_there_are_several_and_the_spread_is_shown():
    several = compare(spread(0.04))
    assert several.seeds == "hierarchical"
    assert compare(spread(0.04), test="wilcoxon").seeds == "mean"
    assert compare(spread(0.04, seeds=1)).seeds == "mean"
    for name in formats:
        text = render(several, name)
        if name in ("json", "csv"):
            assert "seed_deviation" in text
        else:
            assert (r"$\pm$ 0.0400" if name in ("latex", "longtable") else "± 0.0400") in text, name


def test_seeds_that_do_not_differ_change_nothing():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(2, 1, 40))
    alone, thrice = seeded_test.t_test(x, y), seeded_test.t_test(np.repeat(x, 3, axis=0), y)
    assert (thrice.t, thrice.p, thrice.df) == pytest.approx((alone.t, alone.p, 39))
    assert seeded_test.t_test(x, x).p is None


@pytest.mark.parametrize("between", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seeds", [(3, 3), (3, 1)])
def test_where_there_is_no_difference_it_finds_one_as_often_as_it_says(between, seeds):
    random, n, found = np.random.default_rng(7), 80, []
    for _ in range(400):
        queries = random.normal(0, 0.3, n)
        sides = [
            queries
            + random.normal(0, 0.15, n)
            + random.normal(0, between if count > 1 else 0, (count, 1))
            + random.normal(0, 0.15, (count, n))
            for count in seeds
        ]
        found.append(
            [seeded_test.t_test(*sides).p, seeded_test.t_test((sides[0].mean(0) - sides[1].mean(0))[np.newaxis]).p]
        )
    ours, over_queries = (np.array(found) < 0.05).mean(axis=0)
    assert 0.005 <= ours <= 0.085
    if between == 0.05:  # what a test over queries alone takes for a difference of methods is one of seeds
        assert over_queries > 0.12


@pytest.mark.parametrize("kind", ["relative", "absolute"])
@pytest.mark.parametrize("between", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seeds", [(3, 3), (3, 1)])
def test_of_methods_that_are_worse_by_the_margin_it_passes_as_few_as_it_says(between, seeds, kind):
    """A student whose true mean is at the margin is called non-inferior in some 5 % of the cases."""
    random, n, margin, level, found = np.random.default_rng(9), 80, 0.05, 0.6, []
    true = (1 - margin) * level if kind == "relative" else level - margin
    for _ in range(400):
        queries = random.normal(0, 0.15, n)
        x, y = (
            mean
            + queries
            + random.normal(0, 0.05, n)
            + random.normal(0, between if count > 1 else 0, (count, 1))
            + random.normal(0, 0.1, (count, n))
            for mean, count in zip((true, level), seeds, strict=True)
        )
        means = (one.mean(axis=0, keepdims=True) for one in (x, y))
        found.append([margins.noninferiority(x, y, margin, kind)[1], margins.noninferiority(*means, margin, kind)[1]])
    ours, over_queries = (np.array(found) < 0.05).mean(axis=0)
    assert 0.005 <= ours <= 0.085
    if between == 0.05:  # lucky seeds pass for a method as good as the baseline
        assert over_queries > 0.12


def test_stars_and_equivalence_are_of_methods_too_where_there_are_several_seeds():
    systems = spread(0.04)
    for seeds, passes in (("mean", True), ("hierarchical", False)):
        options = {"seeds": seeds, "noninferiority": 0.0, "equivalence": True, "margin_kind": "absolute"}
        one = compare(systems, **options).comparisons[0]
        assert one.non_inferior is (one.noninferiority_p < 0.05)
        assert (one.noninferiority_p < 0.001) is passes
        assert one.equivalent is False
    wide = {"noninferiority": 0.15, "equivalence": True, "margin_kind": "absolute"}
    assert [compare(systems, seeds=seeds, **wide).comparisons[0].equivalent for seeds in ("mean", "hierarchical")] == [
        True,
        False,
    ]
    line = next(one for one in compare(systems).answer.forest if one.name == "system")
    shown = compare(systems, seeds="mean").answer.forest
    assert line.margin_low < next(one for one in shown if one.name == "system").margin_low


def test_the_test_with_seeds_fixed_is_told_beside_it_and_whom_it_speaks_of():
    both, fixed = compare(spread(0.04)), compare(spread(0.04), seeds="mean")
    one = both.comparisons[0]
    assert (one.fixed_seeds_p, one.fixed_seeds_p_adjusted) == (fixed.comparisons[0].p, fixed.comparisons[0].p_adjusted)
    assert one.fixed_seeds_p < 1e-6 < 0.04 < one.p
    assert both.to_json()["comparisons"][0]["fixed_seeds_p"] == one.fixed_seeds_p
    said = " ".join(render(both, "text").split())
    assert "p 0.049" in said
    assert "other queries and other seeds. With the seeds fixed" in said
    assert "these trained models and other queries alone: system against base RR@10 p < 0.0001." in said
    for without in (fixed, compare(spread(0.0, seeds=1), seeds="hierarchical")):
        assert "seeds fixed" not in render(without, "text")
    assert "fixed_seeds_p" not in fixed.to_json()["comparisons"][0]


def test_it_finds_differences_that_are_there():
    random, n, found = np.random.default_rng(8), 200, []
    for _ in range(100):
        queries = random.normal(0, 0.3, n)
        x, y = (queries + random.normal(mean, 0.005, (3, 1)) + random.normal(0, 0.15, (3, n)) for mean in (0.04, 0.0))
        found.append(seeded_test.t_test(x, y).p)
    assert (np.array(found) < 0.05).mean() > 0.7


def test_one_seed_each_says_so():
    systems = [one if not one.replicates else System(one.name, one.per_query) for one in spread(0.0)]
    assert "one seed" in compare(systems, seeds="hierarchical").notes[0]


def test_hierarchical_has_a_test_of_its_own():
    with pytest.raises(UserError, match="--seeds hierarchical is a t-test of its own"):
        compare(spread(0.0), seeds="hierarchical", test="wilcoxon")
    with pytest.raises(UserError, match="--seeds: there is no 'median'"):
        compare(spread(0.0), seeds="median")


def test_learning_curves_and_the_time_to_come_close_are_means_over_the_seeds(tmp_path):
    for seed, values, close in ((1, (0.3, 0.5, 0.6), 100.0), (2, (0.5, 0.6), 300.0)):
        make_run(tmp_path, f"a-seed{seed}", (1, 2, 1, 1, 3, 1), seed, teacher=None)
        write_curve(tmp_path / f"a-seed{seed}", values, close)
    result = compare(read_systems(["a-seed1", "a-seed2"], runs_dir=tmp_path))
    (system,) = result.sources
    # The third point, which the second seed lacks, would be another mean.
    assert example_line(system, "RR@10") == [(1000, pytest.approx(0.4)), (2000, pytest.approx(0.55))]
    training, curve = build(result, ["training", "curve"])
    assert [cell.text for cell in curve.rows[0]] == ["a", "0.4000", "0.5500"]
    assert curve.notes == ("The mean over the seeds.",)
    assert training.rows[0][-1].text == "3.3 min"


def test_a_system_of_which_a_seed_never_came_close_has_no_time_to_come_close(tmp_path):
    for seed, close in ((1, 100.0), (2, None)):
        make_run(tmp_path, f"a-seed{seed}", (1, 2, 1, 1, 3, 1), seed, teacher=None)
        write_curve(tmp_path / f"a-seed{seed}", (0.3, 0.5), close)
    result = compare(read_systems(["a-seed1", "a-seed2"], runs_dir=tmp_path))
    (training,) = build(result, ["training"])
    assert (training.heads[-1].name, training.rows[0][-1].text) == ("close", "-")


def write_curve(folder, values, close):
    points = [{"examples": 1000 * (place + 1), "RR@10": value} for place, value in enumerate(values)]
    first = {"seconds": close} if close else None
    (folder / "curve.json").write_text(json.dumps({"within": 0.05, "first_within": first, "points": points}))
    cost = folder / "eval" / "test" / "cost.json"
    found = json.loads(cost.read_text()) if cost.exists() else {}
    cost.write_text(json.dumps({**found, "training_seconds": {"distil": 400.0}}))

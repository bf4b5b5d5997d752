"""Several query sets in one report: one family, each set's own queries, measures and policy."""

import pytest
from finished_runs import write_record

from distilkit.comparison.compare import compare
from distilkit.comparison.systems import System, read_systems
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels, write_run

SETS = {"test": 5, "dl19": 3, "dl20": 4}
MEASURES = {"test": "RR@10 nDCG@10", "dl19": "nDCG@10", "dl20": "nDCG@10"}


def qrels(name):
    return {f"{name}{number}": {"a": 1} for number in range(SETS[name])}


def ranked(name, shift):
    return {
        query: [("a" if place == (number + shift) % 4 else f"x{place}", float(9 - place)) for place in range(4)]
        for number, query in enumerate(qrels(name))
    }


def make_run(runs, name, sets, shift=1):
    folder = runs / name
    folder.mkdir(parents=True)
    write_record(folder, name)
    for one in sets:
        home = folder / "eval" / one
        for place, moved in ((home, shift), (home / "references" / "teacher", 0)):
            run = ranked(one, moved)
            write_evaluation(place, one, run, evaluate(run, qrels(one), MEASURES[one]), "t")
        write_qrels(home / "qrels.tsv", qrels(one))
    return folder


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs", "a", ["dl19", "test"])
    make_run(tmp_path / "runs", "b", ["dl20", "dl19", "test"], shift=2)
    return tmp_path / "runs"


def test_all_sets_that_the_runs_share_make_one_family(runs):
    systems = read_systems(["a", "b"], runs_dir=runs, eval_set=None)
    assert [(one.name, one.eval_set) for one in systems] == [
        ("teacher", "test"), ("a", "test"), ("b", "test"), ("teacher", "dl19"), ("a", "dl19"), ("b", "dl19")
    ]  # fmt: skip
    result = compare(systems)
    assert result.columns == (("test", "RR@10"), ("test", "nDCG@10"), ("dl19", "nDCG@10"))
    assert result.family == len(result.comparisons) == 6
    assert {(one.set, one.n) for one in result.comparisons} == {("test", 5), ("dl19", 3)}
    assert (result.eval_set, list(result.sets)) == (None, ["test", "dl19"])
    assert [one["n"] for one in result.sets.values()] == [5, 3]
    value = result.to_json()
    assert {one["set"] for one in value["systems"]} == {"test", "dl19"}
    alone = compare(read_systems(["a", "b"], runs_dir=runs, eval_set="dl19"))
    assert alone.eval_set == "dl19"
    assert alone.mean("a", "nDCG@10").mean == result.mean("a", "nDCG@10", "dl19").mean
    assert [one.p for one in alone.comparisons] == [one.p for one in result.comparisons if one.set == "dl19"]
    assert [label for label, *_ in result.groups()] == ["RR@10 on test", "nDCG@10 on test", "nDCG@10 on dl19"]


def test_sets_are_named_in_an_order(runs):
    systems = read_systems(["b"], runs_dir=runs, eval_set=["dl20", "test"])
    assert list(compare(systems).sets) == ["dl20", "test"]
    with pytest.raises(UserError, match="no results for the set 'dl20'; known: dl19, test"):
        read_systems(["a"], runs_dir=runs, eval_set=["test", "dl20"])


def test_marks_and_best_are_those_of_a_set():
    def system(name, per_set):
        return [
            System(name, {"RR@10": {f"{one}{place}": value for place, value in enumerate(values)}}, eval_set=one)
            for one, values in per_set.items()
        ]

    low, high = [0.1, 0.2, 0.1, 0.25, 0.2], [0.9, 0.8, 1.0, 0.7, 0.9]
    systems = [*system("x", {"one": low, "two": low}), *system("y", {"one": high, "two": low[::-1]})]
    result = compare(systems)
    assert [one.superscripts for one in result.systems if one.name == "y"] == ["X", ""]
    assert (result.best("RR@10", "one"), result.best("RR@10", "two")) == pytest.approx((0.86, 0.17))


def test_files_take_each_sets_judgements_and_one_set_alone_can_be_given_others(runs, tmp_path):
    write_run(tmp_path / "file.trec", ranked("test", 3) | ranked("dl19", 3), "t")
    systems = read_systems(["a", str(tmp_path / "file.trec")], runs_dir=runs, eval_set=None)
    assert [(one.eval_set, one.unjudged) for one in systems if one.name == "file"] == [("test", 3), ("dl19", 5)]
    with pytest.raises(UserError, match="--qrels judges one set of queries; name one of test, dl19"):
        read_systems(["a"], runs_dir=runs, eval_set=None, qrels=runs / "a/eval/test/qrels.tsv")


def test_files_alone_belong_to_no_set(tmp_path):
    write_run(tmp_path / "file.trec", ranked("test", 3), "t")
    write_qrels(tmp_path / "q", qrels("test"))
    systems = read_systems([str(tmp_path / "file.trec")], qrels=tmp_path / "q", eval_set=None)
    assert compare(systems).eval_set is None


def test_the_policy_names_files_by_their_sha256_and_counts_judged_results(runs):
    import hashlib

    policy = compare(read_systems(["a"], runs_dir=runs)).policy
    home = runs / "a" / "eval" / "test"
    assert policy["runs"]["a"] == hashlib.sha256((home / "run.trec").read_bytes()).hexdigest()[:12]
    assert policy["qrels"] == [hashlib.sha256((home / "qrels.tsv").read_bytes()).hexdigest()[:12]]
    # One judged document among four results, of the ten that Judged@10 looks at.
    assert policy["judged"] == {"cutoff": 10, "systems": {"teacher": 0.25, "a": 0.25}}
    assert policy["scores"].startswith("finite")

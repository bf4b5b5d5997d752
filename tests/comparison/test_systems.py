"""What SYSTEM arguments stand for: run folders, runs, suites and files, their names, order and values."""

import pytest
from finished_runs import write_record

from distilkit.comparison.compare import compare
from distilkit.comparison.systems import read_systems
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels, write_run
from distilkit.run_folders.results import write_per_query

QRELS = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}}
GOOD = {"q1": [("a", 3.0), ("x", 1.0)], "q2": [("b", 3.0), ("x", 1.0)], "q3": [("c", 1.0)]}
FAIR = {"q1": [("x", 3.0), ("a", 1.0)], "q2": [("b", 3.0), ("x", 1.0)], "q3": [("x", 1.0), ("c", 0.5)]}
POOR = {"q1": [("x", 3.0), ("y", 2.0), ("a", 1.0)], "q2": [("x", 3.0)], "elsewhere": [("x", 1.0)]}


def evaluated(folder, run, measures="nDCG@10 RR@10", qrels=QRELS):
    write_evaluation(folder, "test", run, evaluate(run, qrels, measures), "tag")
    write_qrels(folder / "qrels.tsv", qrels)


def make_run(runs, name, student=GOOD, teacher=GOOD, bm25=POOR, twin=None, eval_set="test"):
    folder = runs / name
    folder.mkdir(parents=True)
    write_record(folder, name, twin=twin)
    home = folder / "eval" / eval_set
    if student is not None:
        evaluated(home, student)
    for reference, run in (("teacher", teacher), ("bm25", bm25)):
        if run is not None:
            evaluated(home / "references" / reference, run)
    return folder


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs", "mm", twin="mm-label_only")
    make_run(tmp_path / "runs", "mm-label_only", student=FAIR, teacher=None)
    return tmp_path / "runs"


def names(systems):
    return [one.name for one in systems]


def test_a_run_brings_first_stage_teacher_and_twin_along(runs):
    for argument in ("mm", str(runs / "mm")):
        systems = read_systems([argument], runs_dir=runs)
        assert names(systems) == ["bm25", "teacher", "mm-label_only", "mm"]
        assert [one.kind for one in systems] == ["bm25", "teacher", "twin", "run"]
        assert systems[0].per_query["RR@10"] == {"q1": 1 / 3, "q2": 0.0, "q3": 0.0}
        assert systems[2].per_query["RR@10"] == {"q1": 0.5, "q2": 1.0, "q3": 0.5}
        assert (systems[0].missing, systems[0].unjudged) == (frozenset({"q3"}), 1)
        assert compare(systems).baselines == ("teacher",)


def test_a_twin_that_is_named_too_comes_once_beside_its_student(runs):
    for arguments in (["mm", "mm-label_only"], [str(runs)]):
        assert names(read_systems(arguments, runs_dir=runs)) == ["bm25", "teacher", "mm-label_only", "mm"]
    renamed = read_systems(["mm", "base=mm-label_only"], runs_dir=runs)
    assert names(renamed) == ["bm25", "teacher", "base", "mm"]
    assert names(read_systems(["mm-label_only", "mm"], runs_dir=runs)) == ["bm25", "mm-label_only", "teacher", "mm"]


def test_a_run_is_renamed_with_its_twin(runs):
    assert names(read_systems(["new=mm"], runs_dir=runs)) == ["bm25", "teacher", "new-label_only", "new"]


def test_a_twin_without_results_is_left_out_and_said_so(runs):
    make_run(runs, "early", twin="early-label_only")
    systems = read_systems(["early"], runs_dir=runs)
    assert names(systems) == ["bm25", "teacher", "early"]
    assert compare(systems).notes == (
        "early-label_only, the label-only twin of early, has no results for the set test and is left out",
    )


def test_a_suite_brings_its_runs_with_one_copy_of_equal_references(runs):
    make_run(runs, "suite/a-seed1", student=FAIR, twin="suite/a-seed1-label_only")
    make_run(runs, "suite/a-seed1-label_only", student=POOR, teacher=None)
    make_run(runs, "suite/b-seed1")
    make_run(runs, "suite/unfinished", student=None, teacher=None, bm25=None)
    systems = read_systems(["suite"], runs_dir=runs)
    assert names(systems) == ["bm25", "teacher", "suite/a-seed1-label_only", "suite/a-seed1", "suite/b-seed1"]
    assert compare(systems).notes == ("1 of the 4 runs of suite have no results for the set test yet",)
    with pytest.raises(UserError, match="is a suite of several runs"):
        read_systems(["x=suite"], runs_dir=runs)


def test_references_that_differ_are_named_after_their_runs(runs):
    make_run(runs, "other", teacher=FAIR)
    make_run(runs, "third", teacher=FAIR)
    systems = read_systems(["mm", "other", "third"], runs_dir=runs)
    assert names(systems) == ["bm25", "teacher-mm", "mm-label_only", "mm", "teacher-other", "other", "third"]


def test_references_of_equal_values_differ_where_other_queries_have_no_results(runs):
    # POOR finds nothing of use for q2 and nothing at all for q3: both score 0.
    make_run(runs, "other", bm25={**POOR, "q3": [("x", 1.0)]})
    systems = read_systems(["mm", "other"], runs_dir=runs)
    assert names(systems) == ["bm25-mm", "teacher", "mm-label_only", "mm", "bm25-other", "other"]
    assert systems[0].per_query == systems[4].per_query
    assert (systems[0].missing, systems[4].missing) == ({"q3"}, frozenset())


@pytest.mark.parametrize(("measures", "cutoff"), [("nDCG@10 RR@2", 2), ("P@1 AP", 1), ("AP", 10)])
def test_judged_is_counted_down_to_the_shallowest_measure(runs, measures, cutoff):
    stated = read_systems(["mm"], runs_dir=runs, measures=measures)[-1]
    write_run(runs / "a.trec", GOOD, "t")
    computed = read_systems([str(runs / "a.trec"), "mm"], runs_dir=runs, measures=measures)[0]
    assert stated.judged.cutoff == computed.judged.cutoff == cutoff
    # GOOD has the relevant document first; q1 and q2 have another behind it, q3 has none.
    assert stated.judged.share == pytest.approx(1 if cutoff == 1 else (0.5 + 0.5 + 1) / 3)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("bm25.trec", "bm25"),
        ("a.b-v1.2.run.gz", "a.b-v1.2"),
        ("run.txt", "run"),
        ("plain", "plain"),
        ("x.tsv", "x.tsv"),
        ("twice.trec.run", "twice.trec"),
    ],
)
def test_a_file_is_named_by_its_base_name(tmp_path, file, name):
    write_run(tmp_path / file, GOOD, "ignored")
    write_qrels(tmp_path / "qrels.tsv", QRELS)
    path = str(tmp_path / file)
    assert names(read_systems([path], qrels=tmp_path / "qrels.tsv")) == [name]
    assert names(read_systems([f"new={path}"], qrels=tmp_path / "qrels.tsv")) == ["new"]


def test_a_path_with_an_equals_sign_is_a_path(tmp_path):
    write_run(tmp_path / "lr=0.1.trec", GOOD, "t")
    write_qrels(tmp_path / "q", QRELS)
    assert names(read_systems([str(tmp_path / "lr=0.1.trec")], qrels=tmp_path / "q")) == ["lr=0.1"]
    assert names(read_systems([f"x={tmp_path}/lr=0.1.trec"], qrels=tmp_path / "q")) == ["x"]


def test_files_follow_in_the_arguments_order_and_use_the_runs_judgements(runs, tmp_path):
    write_run(tmp_path / "z.trec", FAIR, "t")
    systems = read_systems([str(tmp_path / "z.trec"), "mm"], runs_dir=runs)
    assert names(systems) == ["z", "bm25", "teacher", "mm-label_only", "mm"]
    assert systems[0].per_query == systems[3].per_query


def test_equal_names_are_refused(runs, tmp_path):
    write_run(tmp_path / "teacher.trec", FAIR, "t")
    for arguments in (["mm", str(tmp_path / "teacher.trec")], ["mm", "mm"]):
        with pytest.raises(UserError, match="two systems are called"):
            compare(read_systems(arguments, runs_dir=runs))


def test_values_come_from_the_table_and_else_from_the_run(runs):
    table = runs / "mm" / "eval" / "test" / "per_query.csv"
    write_per_query(table, {"nDCG@10": {"q1": 0.25, "q2": 0.5, "q3": 0.75}})
    student = read_systems(["mm"], runs_dir=runs, measures="nDCG@10")[-1]
    assert student.per_query == {"nDCG@10": {"q1": 0.25, "q2": 0.5, "q3": 0.75}}
    student = read_systems(["mm"], runs_dir=runs, measures=["nDCG@10", "P@1"])[-1]
    assert student.per_query["P@1"] == {"q1": 1.0, "q2": 1.0, "q3": 1.0}
    assert student.per_query["nDCG@10"] == {"q1": 1.0, "q2": 1.0, "q3": 1.0}


def test_given_judgements_overrule_the_runs(runs, tmp_path):
    write_qrels(tmp_path / "qrels.tsv", {"q1": {"x": 1}})
    systems = read_systems(["mm"], runs_dir=runs, qrels=tmp_path / "qrels.tsv")
    assert {one.name: one.per_query["RR@10"] for one in systems} == {
        "bm25": {"q1": 1.0}, "teacher": {"q1": 0.5}, "mm-label_only": {"q1": 1.0}, "mm": {"q1": 0.5}
    }  # fmt: skip


def test_measures_are_those_of_the_first_run_folder(runs, tmp_path):
    folder = tmp_path / "runs" / "one"
    folder.mkdir()
    write_record(folder, "one")
    evaluated(folder / "eval" / "test", GOOD, "AP P@1")
    assert list(read_systems(["one", "mm"], runs_dir=runs)[1].per_query) == ["AP", "P@1"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("mn", "known: mm, mm-label_only"),
        ("mm-labels_only", "did you mean 'mm-label_only'?"),
        ("new=mm-labelonly", "did you mean 'mm-label_only'?"),
        ("=mm", "neither a run folder"),
        ("", "neither a run folder"),
    ],
)
def test_an_argument_that_is_nothing_names_the_nearest(runs, argument, words):
    with pytest.raises(UserError) as caught:
        read_systems([argument], runs_dir=runs)
    assert words in str(caught.value)


def test_a_mistyped_file_names_its_neighbour(runs, tmp_path):
    write_run(tmp_path / "splade.trec", GOOD, "t")
    with pytest.raises(UserError, match=r"splade\.trec'\?"):
        read_systems([str(tmp_path / "spalde.trec")], runs_dir=runs)


def test_what_is_missing_is_named(runs, tmp_path):
    write_run(tmp_path / "a.trec", GOOD, "t")
    with pytest.raises(UserError, match="--qrels FILE"):
        read_systems([str(tmp_path / "a.trec")])
    write_qrels(tmp_path / "other.tsv", {"zz": {"a": 1}})
    with pytest.raises(UserError, match="none of the 1 queries judged"):
        read_systems([str(tmp_path / "a.trec")], qrels=tmp_path / "other.tsv")
    with pytest.raises(UserError, match="no results for the set 'tset'; did you mean 'test'"):
        read_systems(["mm"], runs_dir=runs, eval_set="tset")
    make_run(runs, "fresh", student=None, teacher=None, bm25=None)
    with pytest.raises(UserError, match="has not been evaluated yet"):
        read_systems(["fresh"], runs_dir=runs)
    (runs / "mm" / "eval" / "test" / "run.trec").unlink()
    with pytest.raises(UserError, match=r"does not hold P@1, and there is no run\.trec"):
        read_systems(["mm"], runs_dir=runs, measures="P@1")
    (runs / "mm" / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json: cannot be read as JSON"):
        read_systems(["mm"], runs_dir=runs)

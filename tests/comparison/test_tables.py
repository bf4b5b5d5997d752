"""The tables of the papers: figures that follow from known costs and rankings."""

import json
import math
from dataclasses import replace

import pytest
from finished_runs import QRELS, finished_runs, ranked, write_place

from distilkit.comparison.compare import compare
from distilkit.comparison.plots.effectiveness import costed
from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.systems import System, read_systems
from distilkit.comparison.tables import available, build
from distilkit.comparison.tables.cost import in_words
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.scoring.costs import write_cost

TWIN = "s · label-only"


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    runs = finished_runs(tmp_path_factory.mktemp("tables") / "runs")
    return compare(read_systems(["s", "other"], runs_dir=runs))


def texts(table):
    """Return a table's rows by their labels, as text by column."""
    heads = [f"{head.group} {head.name}".strip() for head in table.heads]
    return {row[0].text: dict(zip(heads, (cell.text for cell in row), strict=True)) for row in table.rows}


def test_cost_has_speedups_relative_to_the_teacher(result):
    (table,) = build(result, ["cost"])
    rows = texts(table)
    assert list(rows) == ["s", "teacher", "other", TWIN, "BM25", "ceiling", "chance"]
    assert (rows["s"]["parameters"], rows["s"]["MACs"], rows["s"]["MACs speed-up"]) == ("17M", "1.5G", "15.3x")
    assert (rows["teacher"]["ms/query"], rows["other"]["ms/query"], rows["other"]["times faster"]) == (
        "300",
        "10",
        "30x (30-32)",
    )
    assert (rows["s"]["peak memory"], rows["BM25"]["times faster"]) == ("1 GiB", "-")
    assert "bytes/document" not in rows["s"]  # none of these stores documents
    assert rows["s"]["nDCG@10"] == f"{result.mean('s', 'nDCG@10').mean:.4f}"
    assert "length 256" in table.notes[0]
    assert "30 candidates on h, c" in table.notes[0]
    assert rows[TWIN]["times faster"] == "-"  # nothing was measured by turns
    assert table.notes[1].startswith("Latencies of this table were not all measured together")
    assert "distilkit compare with --latency" in table.notes[1]


@pytest.mark.parametrize(("session", "threads", "together"), [("a", 2, True), ("b", 1, False), (None, 2, False)])
def test_latencies_of_one_session_alone_are_held_against_each_other(tmp_path, session, threads, together):
    runs = finished_runs(tmp_path / "runs")
    for name in ("s", "s/eval/test/references/teacher", "other", "s-label_only"):
        path = runs / name / ("cost.json" if "/" in name else "eval/test/cost.json")
        cost = json.loads(path.read_text())
        own, count = (session, threads) if name == "other" else ("a", 2)
        timed = {
            "machine": {**cost["machine"], "threads": count},
            "latency": {**cost.get("latency", {}), "session": own},
        }
        path.write_text(json.dumps({**cost, **timed}))
    found = compare(read_systems(["s", "other"], runs_dir=runs))
    (table,) = build(found, ["cost"])
    assert ("1 thread and h, c, 2 threads" if threads == 1 else "on h, c, 2 threads;") in table.notes[0]
    said = (
        "All latencies were measured together, by turns in 3 rounds" if together else "were not all measured together"
    )
    assert said in table.notes[1]
    assert texts(table)["other"]["times faster"] == "30x (30-32)"  # by turns with its own teacher
    axis, points = costed(found)
    assert axis == ("ms per query at depth 30 (median)" if together else "multiply-accumulates per pair")
    if together:
        assert {one.name: x for x, one in points} == {"teacher": 300, "s-label_only": 20, "s": 20, "other": 10}


def test_the_budget_is_behind_each_system_with_and_without_its_teacher(result):
    (table,) = build(result, ["budget"])
    rows = texts(table)
    assert list(rows) == ["s", "teacher", "other", TWIN]  # this first stage states none
    assert list(rows["s"].values())[1:] == ["1,600", "2,500", "2T", "3T", "3.00 h", "3.02 h"]
    assert list(rows[TWIN].values())[1:] == ["2,600", "2,600", "2T", "2T", "90.0 min", "90.0 min"]
    assert result.to_json()["budgets"]["s"]["total_labelled_queries"] == 2500


def test_unknown_labels_are_told_as_such(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    cost = runs / "s" / "eval" / "test" / "cost.json"
    found = json.loads(cost.read_text())
    found["budget"]["total_labelled_queries"] = None
    cost.write_text(json.dumps(found))
    (table,) = build(compare(read_systems(["s"], runs_dir=runs)), ["budget"])
    assert texts(table)["s"]["labelled queries total"] == "-"


def test_grids_of_different_sizes_are_told(tmp_path):
    runs = finished_runs(tmp_path / "runs")

    def search(name, **grid):
        path = runs / name / "run.json"
        record = json.loads(path.read_text())
        record["resolved"]["grid"] = grid
        path.write_text(json.dumps(record))
        return compare(read_systems(["s"], runs_dir=runs)).notes

    assert not any("unequally" in note for note in search("s"))
    found = search("s", **{"train.learning_rate": [1, 2, 3], "another.alpha": [1, 2]})
    assert any("unequally" in note and note.endswith(f"{TWIN} 1, s 3.") for note in found)
    assert not any("unequally" in note for note in search("s-label_only", **{"train.learning_rate": [4, 5, 6]}))


def test_cost_in_words(result):
    assert in_words(result) == [
        "s costs 17M parameters, 1.5G multiply-accumulates per pair (15.3 times fewer than the teacher's 22.9G), 20 ms "
        "per query (15 times faster than the teacher, 13.2 to 16 in 3 interleaved rounds).",
        "other costs 17M parameters, 1.5G multiply-accumulates per pair (15.3 times fewer than the teacher's 22.9G), "
        "10 ms per query (30 times faster than the teacher, 30 to 32 in 3 interleaved rounds).",
    ]
    assert in_words(result)[0] in " ".join(render(result).split())


def test_students_of_equal_costs_share_a_sentence(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    cost = (runs / "s" / "eval" / "test" / "cost.json").read_text()
    (runs / "other" / "eval" / "test" / "cost.json").write_text(cost)
    (told,) = in_words(compare(read_systems(["s", "other"], runs_dir=runs)))
    assert told.startswith("s and other each cost 17M parameters, 1.5G multiply-accumulates per pair (15.3 times fewer")


def test_of_several_teachers_each_student_has_its_own(tmp_path):
    runs = finished_runs(tmp_path / "runs")
    teacher = runs / "other" / "eval" / "test" / "references" / "teacher"
    cost = json.loads((teacher / "cost.json").read_text())
    write_place(teacher, ranked(2.2, "another"), **{**cost, "macs_per_pair": 45_800_000_000})
    result = compare(read_systems(["s", "other"], runs_dir=runs))
    assert {name for name, kind in result.kinds.items() if kind == "teacher"} == {"teacher-s", "teacher-other"}
    told = {one.partition(" costs ")[0]: one for one in in_words(result)}
    assert "(15.3 times fewer than its teacher's 22.9G), 20 ms per query (15 times faster than its teacher" in told["s"]
    assert "(30.5 times fewer than its teacher's 45.8G)" in told["other"]
    assert "times faster: than its teacher, the median" in build(result, ["cost"])[0].notes[0]


@pytest.mark.parametrize(("beside", "other"), [("teacher", "the teacher"), ("s-label_only", "s · label-only and the")])
def test_what_a_run_file_was_timed_beside_has_one_name(tmp_path, beside, other):
    runs = finished_runs(tmp_path / "runs")
    file = tmp_path / "bare.trec"
    file.write_bytes((runs / "other" / "eval" / "test" / "run.trec").read_bytes())
    timed = {"beside": beside, "own_ms": [10.0, 10.0], "beside_ms": [20.0, 21.0]}
    write_cost(file, {"parameters": 5, "ms_per_query": {"p50": 10.0}, "depth": 30, "latency": timed})
    found = compare(read_systems(["s", str(file)], runs_dir=runs))
    (table,) = build(found, ["cost"])
    assert f"times faster: than {other}" in table.notes[0]
    assert "teacher and the teacher" not in table.notes[0]
    assert f"times faster than {other.removesuffix(' and the')}, 2 to 2.1 in 2" in " ".join(in_words(found))


@pytest.mark.parametrize(
    ("own", "beside", "words", "cell"),
    [
        ([100.0, 400.0], [200.0, 300.0], "(no clear difference to the teacher, whose time was 0.75 to 2 times", "-"),
        ([450.0, 440.0], [300.0, 310.0], "1.46 times slower than the teacher, 1.42 to 1.5 ", "0.686x (0.667-0.705)"),
        ([20.0], [300.0], "20 ms per query.", "-"),  # one round has no spread
        ("damaged", 3, "20 ms per query.", "-"),
    ],
)  # fmt: skip
def test_a_ratio_is_left_out_where_the_spread_of_the_rounds_covers_it(tmp_path, own, beside, words, cell):
    runs = finished_runs(tmp_path / "runs")
    path = runs / "other" / "eval" / "test" / "cost.json"
    latency = {"own_ms": own, "beside_ms": beside}
    path.write_text(json.dumps({**json.loads(path.read_text()), "ms_per_query": {"p50": 20.0}, "latency": latency}))
    found = compare(read_systems(["other"], runs_dir=runs))
    assert words in in_words(found)[0]
    assert texts(build(found, ["cost"])[0])["other"].get("times faster", "-") == cell


def test_training_has_stages_their_total_the_ratio_and_the_time_to_come_close(result):
    (table,) = build(result, ["training"])
    rows = texts(table)
    assert rows["s"] == {
        "System": "s", "fine_tune": "-", "intermediate": "2.00 h", "prediction": "60.0 min", "total": "3.00 h",
        "ratio": "2.00x", "teacher": "60.0 s", "close": "5.0 min",
    }  # fmt: skip
    assert (rows[TWIN]["ratio"], rows["other"]["ratio"], rows["other"]["close"]) == ("1.00x", "2.00x", "-")
    assert "within 5% of the teacher" in table.notes[1]


def test_the_curve_is_by_training_examples(result):
    (table,) = build(result, ["curve"])
    assert texts(table)["s"] == {"System": "s", "training examples 1k": "0.3000", "training examples 3k": "0.5000"}


def test_depths_cut_one_run_to_the_first_stages_first_results(result):
    tables = build(result, ["depth"], [5, 30])
    ndcg = next(table for table in tables if table.title.startswith("nDCG@10"))
    rows = texts(ndcg)
    assert list(rows) == ["s", "teacher", "other", TWIN, "ceiling", "chance"]
    assert list(rows["s"]) == ["System", "depth 5", "depth 30"]
    assert rows["s"]["depth 30"].rstrip() == f"{result.mean('s', 'nDCG@10').mean:.4f}"
    first = {
        query: {document for document, _ in sorted(found, key=lambda one: -one[1])[:5]}
        for query, found in ranked(0.5, "bm25").items()
    }
    cut = {query: [one for one in found if one[0] in first[query]] for query, found in ranked(2.0, "s").items()}
    assert rows["s"]["depth 5"] == f"{evaluate(cut, QRELS, 'nDCG@10').means['nDCG@10']:.4f}"
    # Of 3 systems on 2 measures at 2 depths; what is equal to the teacher on every query has left the family.
    assert "over the 7 comparisons" in ndcg.notes[0]
    assert "(t teacher)" in ndcg.notes[0]
    heads = [head.name for head in build(result, ["depth"])[0].heads]
    assert heads == ["System", "10", "20", "30"]


def test_every_depth_is_that_many_results_of_the_first_stage(result):
    depths = [1, 2, 3, 4, 6, 8, 12]
    rows = texts(next(one for one in build(result, ["depth"], depths) if one.title.startswith("RR@10")))
    first = {query: sorted(found, key=lambda one: -one[1]) for query, found in ranked(0.5, "bm25").items()}
    for depth in depths:
        kept = {query: {document for document, _ in found[:depth]} for query, found in first.items()}
        cut = {query: [one for one in found if one[0] in kept[query]] for query, found in ranked(2.0, "s").items()}
        assert (
            rows["s"][f"depth {depth}"].split()[0].rstrip("*") == f"{evaluate(cut, QRELS, 'RR@10').means['RR@10']:.4f}"
        )


def test_depths_are_held_against_the_first_baseline_of_all_pairs(result):
    everything = replace(result, pairs="all", baselines=("s", "teacher"), letters={"s": "s", "teacher": "t"})
    (table, _) = build(everything, ["depth"], [5, 30])
    assert "(s s)" in table.notes[0]
    both = replace(everything, pairs="baseline")
    assert "(s s, t teacher)" in build(both, ["depth"], [5, 30])[0].notes[0]


@pytest.mark.parametrize("depth", [0, 31])
def test_a_depth_that_was_not_scored_is_refused(result, depth):
    with pytest.raises(UserError, match=f"--depths {depth}: expected a depth from 1 to 30"):
        build(result, ["depth"], [depth])


def test_fidelity_is_against_the_teacher_and_the_gap_from_the_twin(result):
    (table,) = build(result, ["fidelity"])
    rows = texts(table)
    assert list(rows) == ["s", "other", TWIN]
    teacher, student, twin = (result.mean(name, "nDCG@10").mean for name in ("teacher", "s", "s-label_only"))
    assert rows["s"]["gap closed nDCG@10"] == f"{(student - twin) / (teacher - twin):.0%}"
    bm25 = result.mean("bm25", "nDCG@10").mean
    assert rows["other"]["gap closed nDCG@10"] == (
        f"{(result.mean('other', 'nDCG@10').mean - bm25) / (teacher - bm25):.0%}"
    )
    for row in rows.values():
        assert -1 < float(row["Kendall's tau"]) < 1
        assert 0 < float(row["RBO (p=0.9)"]) < 1
        # Two independent noises of sd 1 in each of two scores: margins err by 4 and the difference of skills.
        assert 3 < float(row["margin error"]) < 6


def test_what_there_are_no_data_for_is_said_when_it_is_asked_for():
    systems = [System(name, {"RR@10": {"q": 0.5, "p": one}}) for name, one in (("a", 0.1), ("b", 0.3))]
    result = compare(systems)
    assert available(result) == []
    for name in ("cost", "depth", "training", "curve", "fidelity"):
        with pytest.raises(UserError, match=f"--tables {name}: "):
            build(result, [name])
    with pytest.raises(UserError, match="--tables: there is no 'costs'; did you mean 'cost'"):
        build(result, ["costs"])


def test_every_format_shows_the_tables(result):
    tables = tuple(available(result))
    assert [table.key for table in tables] == ["budget", "cost", "depth", "depth", "training", "curve", "fidelity"]
    full = replace(result, tables=tables)
    for name in formats:
        if name != "csv":
            text = render(full, name, Screen(140))
            assert "Kendall" in text, name
            assert "15.3x" in text or "15.266" in text, name
    value = full.to_json()["tables"][1]
    assert (value["key"], value["columns"][0]) == ("cost", "System")
    row = dict(zip(value["columns"], next(row for row in value["rows"] if row[0] == "s"), strict=True))
    assert row["parameters"] == 17_000_000
    assert math.isclose(row["MACs speed-up"], 22.9 / 1.5)
    assert "tables" not in result.to_json()

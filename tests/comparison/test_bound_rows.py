"""Chance and ceiling: in every table, from candidates and judgements alone, and never in the family of tests."""

import csv
import io

import pytest
from finished_runs import QRELS, QUERIES, finished_runs

from distilkit.comparison.compare import compare
from distilkit.comparison.render import render
from distilkit.comparison.systems import read_systems
from distilkit.evaluation import bounds
from distilkit.evaluation.trec import write_qrels, write_run

FORMATS = ["text", "markdown", "latex", "longtable", "html", "csv", "json"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """Return the comparison of finished runs, which re-rank thirty candidates a query."""
    runs = finished_runs(tmp_path_factory.mktemp("runs"))
    return compare(read_systems(["s", "other"], runs_dir=runs))


def files(folder, **runs):
    """Return the comparison of TREC runs, each given as the documents of its one query in order."""
    write_qrels(folder / "qrels.tsv", {"q": {"a": 2, "b": 1}})
    for name, documents in runs.items():
        write_run(folder / f"{name}.trec", {"q": [(one, float(-place)) for place, one in enumerate(documents)]}, "t")
    systems = read_systems([str(folder / f"{name}.trec") for name in runs], qrels=folder / "qrels.tsv")
    return compare(systems)


def test_they_are_of_the_candidates_and_the_judgements(result):
    found = {(one.name, one.measure): one.mean for one in result.bounds}
    candidates = {query: [f"d{place}" for place in range(30)] for query in QUERIES}
    for kind, bound in (("chance", bounds.chance), ("ceiling", bounds.ceiling)):
        for measure, values in bound(candidates, QRELS, ["nDCG@10", "RR@10"]).items():
            assert found[kind, measure] == pytest.approx(sum(values.values()) / len(QUERIES))
    assert found["ceiling", "nDCG@10"] == pytest.approx(1.0)


def test_their_kind_is_told_and_nothing_tests_them(result):
    value = result.to_json()
    kinds = {one["name"]: one["kind"] for one in value["systems"]}
    assert kinds == {
        "bm25": "bm25", "teacher": "teacher", "s-label_only": "twin", "s": "run", "other": "run",
        "ceiling": "ceiling", "chance": "chance",
    }  # fmt: skip
    compared = {name for one in value["comparisons"] for name in (one["system"], one["baseline"])}
    assert compared == {"bm25", "teacher", "s-label_only", "s", "other"}
    assert "ceiling" not in value["answer"]["ranking"]
    assert result.best("nDCG@10") < 1.0  # the ceiling's, which is not printed as the best


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_shows_them(result, format_):
    text = render(result, format_)
    chance = next(one.mean for one in result.bounds if one.name == "chance" and one.measure == "nDCG@10")
    assert "ceiling" in text
    assert (repr(chance) if format_ in ("csv", "json") else f"{chance:.4f}") in text


def test_the_csv_tells_them_by_their_kind(result):
    rows = list(csv.DictReader(io.StringIO(render(result, "csv"))))
    assert [row["baseline"] for row in rows if row["kind"] == "chance"] == ["", ""]


def test_without_a_first_stage_they_are_of_what_all_systems_rank(tmp_path):
    found = files(tmp_path, one=["a", "c", "b", "d"], two=["d", "c", "b", "a"])
    assert {one.name: one.mean for one in found.bounds if one.measure == "RR@10"} == {
        "ceiling": 1.0,
        "chance": pytest.approx((1 / 2) * 1 + (1 / 3) / 2 + (1 / 6) / 3),
    }


def test_systems_that_find_other_documents_have_none(tmp_path):
    assert files(tmp_path, one=["a", "c"], two=["a", "b"]).bounds == ()


def test_they_leave_the_names_of_systems_alone(tmp_path):
    found = files(tmp_path, chance=["a", "c"], two=["c", "a"])
    assert {one.name for one in found.bounds} == {"ceiling", "chance of the candidates"}
    assert "chance of the candidates" in render(found, "text")

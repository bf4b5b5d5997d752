"""39 real runs on TREC DL 2020 passage with the official judgements; skipped where they are not."""

import csv
from pathlib import Path

import pytest

from distilkit.comparison.compare import compare
from distilkit.comparison.systems import read_systems

RUNS = Path(__file__).parents[2].parent / "shared" / "data" / "trec-dl20-runs"
QRELS = RUNS / "qrels.trec"
MEASURES = ["nDCG@10", "RR(rel=2)@10", "AP(rel=2)@1000"]

pytestmark = pytest.mark.skipif(not RUNS.is_dir(), reason="needs ../shared/data/trec-dl20-runs")


def read(*names, **options):
    return read_systems([str(RUNS / f"{name}.trec") for name in names], qrels=QRELS, measures=MEASURES, **options)


def test_every_run_has_its_published_means():
    with (RUNS / "index.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    result = compare(read(*(row["run"] for row in rows)))
    assert len(result.names) == 39
    assert result.policy["n"] == 54
    for row in rows:
        for measure in MEASURES:
            # The index has ir-measures' own RR, which orders ties the other way; repllama alone has many.
            if (row["run"], measure) != ("repllama", "RR(rel=2)@10"):
                assert result.mean(row["run"], measure).mean == pytest.approx(float(row[measure]), abs=5.1e-5)
    # What trec_eval's order gives.
    assert result.mean("repllama", "RR(rel=2)@10").mean == pytest.approx(0.8716, abs=5e-5)


def test_neural_systems_beat_bm25_and_repeats_of_one_system_do_not_differ():
    result = compare(read("bm25", "tasb", "splade-pp-ed", "ada2+rankvicuna-top100.1", "ada2+rankvicuna-top100.2"))
    ndcg = [one for one in result.comparisons if one.measure == "nDCG@10"]
    assert all(one.p_adjusted < 1e-4 and one.non_inferior for one in ndcg)
    assert {result.mean(one.system, "nDCG@10").superscripts for one in ndcg} == {"B"}
    repeats = compare(read("ada2+rankvicuna-top100.1", "ada2+rankvicuna-top100.2"))
    assert [one.superscripts for one in repeats.systems] == [""] * 6
    assert repeats.comparisons[0].non_inferior

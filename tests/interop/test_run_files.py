"""Rankings and judgements in a run's folder are read by ir_measures, ranx and PyTerrier as they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def results(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    """Return the results of a run that was trained for these tests."""
    folder = tmp_path_factory.mktemp("interop")
    done = cli("run", tiny_recipe, "--runs-dir", folder, "--set", 'twin.budget="none"')
    assert done.code == 0, done.err
    return folder / "tiny" / "eval" / "test"


def means(results: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((results / "measures.json").read_text())["measures"]
    return found


def test_ir_measures_reads_them(results: Path) -> None:
    import ir_measures
    from ir_measures import nDCG

    qrels = list(ir_measures.read_trec_qrels(str(results / "qrels.tsv")))
    for folder in (results, results / "references/bm25", results / "references/teacher"):
        run = list(ir_measures.read_trec_run(str(folder / "run.trec")))
        found = ir_measures.calc_aggregate([nDCG @ 10], qrels, run)
        assert found[nDCG @ 10] == pytest.approx(means(folder)["nDCG@10"])


@pytest.mark.slow  # it compiles its measures
def test_ranx_reads_them(results: Path) -> None:
    ranx = pytest.importorskip("ranx")
    qrels = ranx.Qrels.from_file(str(results / "qrels.tsv"), kind="trec")
    run = ranx.Run.from_file(str(results / "run.trec"), kind="trec")
    found = ranx.evaluate(qrels, run, ["ndcg@10", "mrr@10"])
    wanted = means(results)
    assert [found["ndcg@10"], found["mrr@10"]] == pytest.approx([wanted["nDCG@10"], wanted["RR@10"]])


def test_pyterrier_reads_them(results: Path) -> None:
    pt = pytest.importorskip("pyterrier")
    run, qrels = pt.io.read_results(str(results / "run.trec")), pt.io.read_qrels(str(results / "qrels.tsv"))
    assert {"qid", "docno", "score", "rank"} <= set(run.columns)
    found = pt.Evaluate(run, qrels, metrics=["ndcg_cut_10"])
    assert found["ndcg_cut_10"] == pytest.approx(means(results)["nDCG@10"])

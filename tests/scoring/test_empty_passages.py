"""An empty passage is scored as an empty text, alike by run, rerank and score, and counted."""

import json
import shutil

import pyarrow.parquet as pq
import pytest
from settings_given import sets

from distilkit.evaluation.trec import read_run

SAID = "1 of 41 passages are empty: scored as empty texts"


@pytest.fixture
def folder(tiny_beir, tmp_path):
    """Return the tiny collection with an empty passage, which is a candidate of every test query."""
    folder = tmp_path / "empty"
    shutil.copytree(tiny_beir, folder)
    with (folder / "corpus.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "void", "title": "", "text": ""}) + "\n")
    (folder / "candidates").mkdir()
    lines = (
        f"q{i} Q0 {passage} 1 {score} t\n" for i in range(26, 34) for passage, score in ((f"d{i}", 9), ("void", 8))
    )
    (folder / "candidates/x.test.trec").write_text("".join(lines))
    return folder


def test_run_rerank_and_score_give_the_same_scores(folder, tiny_recipe, tiny_checkpoint, tmp_path, cli):
    candidates, lengths = folder / "candidates/x.test.trec", ["--max-length", 16]
    where = ["--data", folder, "--runs-dir", tmp_path / "runs"]
    done = cli(
        "rerank",
        tiny_checkpoint,
        *where,
        "--candidates",
        "x",
        "--bf16",
        "false",
        "--output",
        tmp_path / "o.trec",
        *lengths,
    )
    assert done.code == 0, done.err
    assert SAID in done.err
    reranked = {query: dict(ranked) for query, ranked in read_run(tmp_path / "o.trec").items()}
    assert all(set(ranked) == {f"d{query[1:]}", "void"} for query, ranked in reranked.items())

    asked = ["--run", candidates, "--data", folder, "--output", tmp_path / "o.parquet", *lengths]
    done = cli("score", "--model", tiny_checkpoint, *asked)
    assert done.code == 0, done.err
    assert "1 passages are empty: scored as empty texts" in done.err
    table = pq.read_table(tmp_path / "o.parquet").to_pylist()
    assert len(table) == 16
    for row in table:
        assert row["score"] == pytest.approx(reranked[row["query_id"]][row["doc_id"]], abs=1e-5)

    settings = [f"data.path={folder}", "data.candidates=x", "teacher.fine_tune=none", "strategy.name=standard_kd"]
    settings += ["train.max_steps=1", "twin.budget=none"]
    words = sets(*settings)
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", *words)
    assert done.code == 0, done.err
    assert SAID in done.err
    taught = read_run(tmp_path / "runs/tiny/eval/test/references/teacher/run.trec")
    for query, ranked in taught.items():
        assert dict(ranked) == pytest.approx(reranked[query], abs=1e-5)

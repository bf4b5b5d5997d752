"""A first stage that finds nothing for most queries ends the run before anything is trained, with the reason."""

import json
import shutil

import pytest


@pytest.fixture
def other(tiny_beir, tmp_path):
    """Return a function that gives the queries of the tiny collection other texts, and a candidates file."""

    def make(text, lines=()):
        folder = tmp_path / "other"
        shutil.copytree(tiny_beir, folder)
        entries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
        rows = [json.dumps({"_id": entry["_id"], "text": text(i, entry["text"])}) for i, entry in enumerate(entries)]
        (folder / "queries.jsonl").write_text("\n".join(rows))
        if lines:
            (folder / "candidates").mkdir()
            (folder / "candidates/mine.test.trec").write_text("\n".join(lines))
        return folder

    return make


def run(cli, recipe, folder, tmp_path, *more):
    asked = ["run", recipe, "--runs-dir", tmp_path / "runs", "--set", f"data.path={folder}", *more]
    return cli(*asked, "--set", "train.max_steps=1", "--set", "teacher.train.max_steps=1")


def test_bm25_that_finds_nothing_ends_the_run_and_says_what_it_read(other, tiny_recipe, tmp_path, cli):
    found = run(cli, tiny_recipe, other(lambda i, text: f"萤火虫{i}号"), tmp_path)
    assert found.code == 2
    assert "BM25 finds nothing for 6 of 6 queries of other, whose texts it reads by language English" in found.err
    assert "teacher" not in found.err
    assert not (tmp_path / "runs/tiny").exists()


def test_rerank_ends_likewise(other, tiny_checkpoint, tmp_path, cli):
    folder = other(lambda i, text: f"萤火虫{i}号")
    where = ["--data", folder, "--runs-dir", tmp_path, "--output", tmp_path / "o.trec"]
    found = cli("rerank", tiny_checkpoint, *where)
    assert (found.code, "BM25 finds nothing for 8 of 8 queries" in found.err) == (2, True)
    assert not (tmp_path / "o.trec").exists()


def test_given_candidates_of_other_queries_end_it_in_the_dry_run(other, tiny_recipe, tmp_path, cli):
    lines = [f"q{i} Q0 d{i} 1 1.0 t" for i in (26, 27, 28)]
    folder = other(lambda i, text: text, lines)
    found = run(cli, tiny_recipe, folder, tmp_path, "--set", "data.candidates=mine", "--dry-run")
    assert found.code == 2
    assert "hold nothing for 5 of 8 queries of test, such as 'q29'" in found.err
    (folder / "candidates/mine.test.trec").write_text("\n".join([*lines, "q29 Q0 d29 1 1.0 t"]))
    assert run(cli, tiny_recipe, folder, tmp_path, "--set", "data.candidates=mine", "--dry-run").code == 0

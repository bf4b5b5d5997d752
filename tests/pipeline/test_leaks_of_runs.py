"""A run says what it leaves out of training since it is measured: in the log, the report and the dry run."""

import json
import shutil

import pytest


@pytest.fixture
def leaking(tiny_beir, tmp_path):
    """Return the tiny collection, whose training query q0 has the text of the test query q26."""
    folder = tmp_path / "leaking"
    shutil.copytree(tiny_beir, folder)
    lines = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    texts = {line["_id"]: line["text"] for line in lines}
    lines[0]["text"] = f" {texts['q26'].upper()}"
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


SAID = "1 of 20 training queries have the text of one of the queries of the set test (case and blanks aside): left out"


def test_equal_texts_are_left_out_and_said(leaking, tiny_recipe, tmp_path, cli):
    asked = ["run", tiny_recipe, "--runs-dir", tmp_path / "runs", "--set", f"data.path={leaking}"]
    asked += ["--set", "train.max_steps=1", "--set", "teacher.train.max_steps=1", "--set", "twin.budget=none"]
    dry = cli(*asked, "--dry-run", "--json")
    plan = json.loads(dry.out)
    assert plan["data"]["counts"]["training queries"] == 19
    assert plan["data"]["notes"][0].startswith(SAID)
    assert SAID in cli(*asked, "--dry-run").out
    done = cli(*asked)
    assert done.code == 0
    assert SAID in " ".join(done.out.split())
    assert SAID in (tmp_path / "runs/tiny/log.txt").read_text()


def test_equal_ids_are_refused(tiny_beir, tiny_recipe, tmp_path, cli):
    folder = tmp_path / "both"
    shutil.copytree(tiny_beir, folder)
    with (folder / "qrels/train.tsv").open("a") as file:
        file.write("q27\td27\t1\n")
    for data, expected in ((folder, "q27"), (tiny_beir, None)):
        found = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", "--set", f"data.path={data}", "--dry-run")
        assert found.code == (2 if expected else 0)
        if expected:
            assert "1 of the 21 training queries are measured too: the first, 'q27'" in found.err
    measured_on_train = ["--set", "evaluate.split=train", "--dry-run"]
    found = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", *measured_on_train)
    assert (found.code, "20 of the 20 training queries are measured too" in found.err) == (2, True)

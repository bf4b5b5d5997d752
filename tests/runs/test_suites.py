"""Suites as rows: what is done, failed and planned, how long the rest takes, and seeds together."""

import json

import pytest

from distilkit.commands.listings import runs, show
from distilkit.errors import UserError
from distilkit.options import Runs, Show
from distilkit.run_folders.listing import locate
from distilkit.run_folders.suites import find_suites, progress, read, seconds_left, state_of

RECORD = {
    "strategy": "tinybert", "student": "bert_cat:L3_H384", "seed": 1, "twin": None, "overrides": [], "resolved": {},
    "data": {"name": "d", "fingerprint": "f" * 20}, "versions": {"distilkit": "1"}, "created": "now",
}  # fmt: skip


def write_member(folder, name, state, spent=100.0, left=None, ndcg=0.5):
    path = folder / name
    (path / "eval" / "test").mkdir(parents=True)
    (path / "run.json").write_text(json.dumps({**RECORD, "name": f"t/{name}"}))
    whole = {"spent_s": spent} | ({"left_s": left} if left is not None else {})
    (path / "status.json").write_text(json.dumps({"state": state, "whole": whole}))
    if state == "done":
        means = {"set": "test", "n": 3, "measures": {"nDCG@10": ndcg}, "policy": {}}
        (path / "eval" / "test" / "measures.json").write_text(json.dumps(means))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs" / "t"
    names = [f"{strategy}-bert_cat_L3_H384-T-seed{seed}" for strategy in ("tinybert", "kd") for seed in (1, 2)]
    members = [
        {"name": f"t/{name}", "strategy": name.split("-")[0], "student": "bert_cat:L3_H384", "teacher": "T",
         "seed": int(name[-1])}
        for name in names
    ]  # fmt: skip
    write_member(path, names[0], "done", ndcg=0.5)
    write_member(path, names[1], "done", spent=140.0, ndcg=0.7)
    write_member(path, names[2], "crashed")
    (path / "suite.json").write_text(json.dumps({"name": "t", "runs": members}))
    return path


def test_a_suite_tells_what_its_members_are(folder):
    (suite,) = find_suites(folder.parent)
    assert (suite.name, suite.state, suite.done, suite.left) == ("t", "crashed", 2, None)
    assert [one.state for one in suite.members] == ["done", "done", "crashed", "planned"]
    assert suite.progress() == "2 of 4, 1 failed"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        (["done", "done"], "done"), (["planned", "planned"], "planned"), (["done", "planned"], "stopped"),
        (["crashed", "running"], "running"), (["done", "stopped"], "stopped"), (["lost", "done"], "lost"),
        ([], "planned"),
    ],
)  # fmt: skip
def test_the_state_of_a_suite(states, state):
    assert state_of(states) == state


def test_the_time_that_is_left():
    done, running, planned = ("done", 600.0, None), ("running", 100.0, 300.0), ("planned", None, None)
    assert seconds_left([done, running, planned, planned]) == 300 + 2 * 600
    assert seconds_left([done, running, running, planned]) == (2 * 300 + 600) / 2
    assert seconds_left([running, planned]) is None  # nothing says how long a planned one takes
    assert seconds_left([running]) == 300
    assert seconds_left([done, planned]) is None  # nothing runs
    assert seconds_left([("running", 1.0, None)]) is None
    assert progress(["done", "running", "crashed"], 1260) == "1 of 3, 1 failed, 21 min left"


def test_runs_has_a_row_a_suite_and_its_runs_below(folder):
    shown = runs(Runs(runs_dir=folder.parent)).splitlines()
    assert shown[2].split()[:3] == ["t", "(suite)", "crashed"]
    assert "2 of 4, 1 failed" in shown[2]
    assert [line.split("  ")[1] for line in shown[3:7]] == [
        "tinybert · seed 1", "tinybert · seed 2", "kd · seed 1", "kd · seed 2"
    ]  # fmt: skip
    assert "planned" in shown[6]
    first, *rest = json.loads(runs(Runs(runs_dir=folder.parent, json_=True)))
    assert (first["name"], first["step"], first["total"], first["suite"]["counts"]["done"]) == ("t", 2, 4, 2)
    assert len(rest) == 3


def test_show_tells_a_suite_and_its_seeds_together(folder):
    text = show(Show(name="t", runs_dir=folder.parent))
    assert text.startswith("t: crashed, 2 of 4, 1 failed")
    assert "0.6000 ± 0.1414" in text
    assert json.loads(show(Show(name=str(folder), runs_dir=folder.parent, json_=True)))["suite"]["left_s"] is None


def test_a_run_is_found_by_its_short_name(folder):
    assert locate("kd · seed 1", folder.parent).path.name == "kd-bert_cat_L3_H384-T-seed1"
    with pytest.raises(UserError, match="no run is called 'kd'"):
        locate("kd", folder.parent)


def test_a_damaged_suite_hides_no_run(folder):
    (folder / "suite.json").write_text('{"name": "t", "runs": 3}')
    with pytest.raises(UserError, match="expected the key runs"):
        read(folder)
    assert find_suites(folder.parent) == []
    assert "t/kd-bert_cat_L3_H384-T-seed1" in runs(Runs(runs_dir=folder.parent))

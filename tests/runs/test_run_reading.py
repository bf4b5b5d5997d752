"""The one reader of run folders: what it finds in a finished run, in one that is under way, and in damaged files."""

import json
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.run_folders.listing import find_runs, locate, summary
from distilkit.run_folders.read import StoredRun, suite_members
from distilkit.run_folders.record import RunStatus, parse_event
from distilkit.run_folders.results import write_per_query

RECORD = {
    "name": "one", "strategy": "margin_mse", "student": "bert_dot:L2_H128", "seed": 3, "twin": "one-label_only",
    "twin_of": None, "overrides": ["seed=3"], "recipe": {"seed": 3}, "resolved": {"seed": 3, "name": "one"},
    "data": {"name": "pydocs", "fingerprint": "f"}, "versions": {"distilkit": "1"}, "created": "today",
}  # fmt: skip


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    write(tmp_path / "one" / "run.json", RECORD)
    write(tmp_path / "suite" / "a" / "run.json", {**RECORD, "name": "suite/a", "twin": "suite/a-label_only"})
    write(tmp_path / "suite" / "a-label_only" / "run.json", {**RECORD, "twin": None, "twin_of": "suite/a"})
    write(tmp_path / ".artifacts" / "one" / "run.json", RECORD)
    return tmp_path


def test_a_run_that_has_just_begun_has_a_record_alone(runs: Path) -> None:
    run = StoredRun(runs / "one")
    record = run.record
    assert (record.name, record.seed, record.twin, record.twin_of) == ("one", 3, "one-label_only", None)
    assert (record.overrides, record.data["name"], record.raw) == (("seed=3",), "pydocs", RECORD)
    assert (run.status(), run.grid(), run.curve(), list(run.events("train"))) == (RunStatus(), {}, {}, [])
    assert (run.evaluated_sets(), run.twin()) == ([], None)
    assert (run.results().measures(), run.results().per_query(), run.results().cost().parameters) == (None, {}, None)


def test_a_twin_lies_beside_its_run_in_a_suite_too(runs: Path) -> None:
    twin = StoredRun(runs / "suite" / "a").twin()
    assert twin is not None
    assert twin.record.twin_of == "suite/a"
    assert [member.path.name for member in suite_members(runs / "suite")] == ["a", "a-label_only"]
    assert suite_members(runs / "none") == []


def test_a_run_is_found_by_name_and_by_folder(runs: Path) -> None:
    assert [str(run.path.relative_to(runs)) for run in find_runs(runs)] == ["one", "suite/a", "suite/a-label_only"]
    assert locate("suite/a", runs).path == locate(str(runs / "suite" / "a"), Path("elsewhere")).path
    with pytest.raises(UserError, match=r"no run is called .onn..*did you mean .one."):
        locate("onn", runs)


def test_results_are_those_of_the_student_with_its_references_beside_them(runs: Path) -> None:
    run = StoredRun(runs / "one")
    results = run.results("dev")
    write_per_query(results.table, {"RR@10": {"q1": 0.5}})
    write(results.measures_json, {"set": "dev", "n": 1, "measures": {"RR@10": 0.5}, "policy": {"missing": 0}})
    costs = {"parameters": 7, "ms_per_query": {"p50": 2.5}, "training_seconds": {"distil": 3, "other": "long"}}
    write(results.path / "cost.json", costs)
    write_per_query(results.path / "references" / "bm25" / "per_query.csv", {"RR@10": {"q1": 0.25}})
    (run.folder.eval / "begun").mkdir()
    assert run.evaluated_sets() == ["dev"]
    assert list(run.all_results()) == ["begun", "dev"]
    measures, cost = results.measures(), results.cost()
    assert measures is not None
    assert (measures.set, measures.n, measures.measures) == ("dev", 1, {"RR@10": 0.5})
    assert (cost.parameters, cost.ms_per_query, cost.depth, cost.training_seconds) == (7, 2.5, None, {"distil": 3})
    (name, reference), *_ = results.references().items()
    assert (name, reference.per_query()) == ("bm25", {"RR@10": {"q1": 0.25}})
    assert reference.qrels == results.qrels == results.path / "qrels.tsv"


def test_events_are_read_by_kind_and_torn_lines_left_out(runs: Path) -> None:
    run = StoredRun(runs / "one")
    kinds = ["train", "validation", "train", "checkpoint"]
    for step, kind in enumerate(kinds):
        run.folder.append_event({"step": step, "kind": kind, "stage": "distil", "values": {"loss": step}})
    with run.folder.events.open("a") as file:
        file.write('{"t": 1, "step": 9, "kind": "tr')
    assert [event.step for event in run.events("train")] == [0, 2]
    assert [event.kind for event in run.events("train", "validation")] == ["train", "validation", "train"]
    assert parse_event('{"t": 1, "step": 2, "kind": "train", "values": []}') is None
    assert parse_event('{"t": 1, "step": true}') is None


def trained(key: str, stage: str, trial: str = "") -> str:
    events = [{"kind": kind, "step": 5, "values": {"loss": 1.0}} for kind in ("train", "validation", "curve")]
    own = {"t": 1.0, "stage": stage, "key": key, **({"trial": trial} if trial else {})}
    return "".join(json.dumps({**own, **one}) + "\n" for one in events)


@pytest.mark.parametrize(
    ("written", "stages", "chosen", "keys"),
    [
        ((("teacher", "fine_tune"), ("own", "fine_tune")), ["fine_tune"], {}, ["own"]),
        ((("teacher", "fine_tune"), ("a", "distil"), ("b", "fine_tune")), ["distil", "fine_tune"], {}, ["a", "b"]),
        ((("teacher", "fine_tune"), ("own", "distil")), ["distil"], {}, ["own"]),
        # Of a grid the chosen point, wherever it stands; where points were trials the full training behind them.
        (
            (("teacher", "fine_tune"), ("a", "fine_tune", "seed 1"), ("b", "fine_tune", "seed 2")),
            ["fine_tune"], {"seed": 1}, ["a"],
        ),
        (
            (("a", "fine_tune", "seed 1"), ("b", "fine_tune", "seed 2"), ("full", "fine_tune")),
            ["fine_tune"], {"seed": 1}, ["full"],
        ),
        # Points may share a first stage, which has the label of the first of them.
        (
            (
                ("a", "distil", "x 1, y 1"), ("a1", "fine_tune", "x 1, y 1"), ("a2", "fine_tune", "x 1, y 2"),
                ("b", "distil", "x 2, y 1"), ("b1", "fine_tune", "x 2, y 1"), ("b2", "fine_tune", "x 2, y 2"),
            ),
            ["distil", "fine_tune"], {"train.x": 1, "train.y": 2}, ["a", "a2"],
        ),
    ],
)  # fmt: skip
def test_a_students_events_are_none_of_its_teachers_nor_of_other_grid_points(
    runs: Path, written: Any, stages: list[str], chosen: dict[str, Any], keys: list[str]
) -> None:
    run = StoredRun(runs / "one")
    run.folder.events.write_text("".join(trained(*one) for one in written))
    if chosen:
        write(run.folder.grid, {"chosen": chosen, "measure": "nDCG@10", "tried": []})
    for kind in ("train", "validation", "curve"):
        assert [event.key for event in run.student_events(stages, kind)] == keys


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a record of a run: name is missing"),
        (json.dumps({**RECORD, "resolved": 3}), "is not a record of a run: resolved is 3"),
        (json.dumps({**RECORD, "seed": "three"}), "is not a record of a run: seed is 'three'"),
    ],
)
def test_a_damaged_record_is_named_and_listed(runs: Path, record: str, message: str) -> None:
    path = runs / "one" / "run.json"
    path.write_text(record)
    with pytest.raises(UserError, match=message) as caught:
        _ = StoredRun(runs / "one").record
    assert str(caught.value).startswith(f"{path}: ")
    assert [summary(run, runs)["state"] for run in find_runs(runs)] == ["damaged", "lost", "lost"]


def test_a_status_says_what_it_can(runs: Path) -> None:
    run = StoredRun(runs / "one")
    exit_ = {"code": 1, "error": "out of memory"}
    write(run.folder.status_json, {"state": "crashed", "step": 4, "total": "x", "values": {"loss": 1}, "exit": exit_})
    status = run.status()
    assert (status.state, status.step, status.total, status.values) == ("crashed", 4, None, {"loss": 1.0})
    assert (status.error, status.heartbeat, status.expect_next) == ("out of memory", None, 30.0)
    assert run.state() == "crashed"
    for damaged in ("{", "[]", "3"):
        run.folder.status_json.write_text(damaged)
        assert run.status().state == ""

"""A run's folder may hold anything: it is called damaged, and never ends `runs`, `show` or the terminal interface."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilkit.comparison.compare import compare
from distilkit.comparison.render import render
from distilkit.comparison.reports import report, suite_report
from distilkit.comparison.systems import read_systems
from distilkit.comparison.tables import available
from distilkit.errors import UserError
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.listing import find_runs, summary
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.show import describe, to_text
from distilkit_tui.core import facts, progress
from distilkit_tui.core.entry import ORDERS, ordered
from distilkit_tui.core.history import History
from distilkit_tui.core.store import RunStore, read_entry

Cli = Callable[..., Any]
RECORDED = Path(__file__).parents[1] / "tui" / "recorded_results"
GRID = {
    "chosen": {"strategy.temperature": 2.0},
    "measure": "nDCG@10",
    "tried": [{"values": {"strategy.temperature": 2.0}, "validation": {"nDCG@10": 0.5}}],
}
POINT = {"examples": 3, "nDCG@10": 0.5, "seconds": 1.0, "stage": "distil"}
CURVE = {"measure": "nDCG@10", "teacher": 0.5, "within": 0.05, "first_within": POINT, "points": [POINT]}
DELETED = "deleted"
ODD = [None, True, 0, -1, 1.5, 10**90, -(10**90), 10**400, 1e308, float("inf"), float("nan"), "", "x", "\x1b[2J",
       "\ud800", "a\0b", [], [1], ["x"], [[]], {}, {"a": 1}, {"": {}}, [{}], "9" * 400, 2**63, DELETED]  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three finished runs, the first of which has every file that a run may have."""
    folder = tmp_path_factory.mktemp("runs") / "runs"
    shutil.copytree(RECORDED, folder)
    (folder / "distilled" / "grid.json").write_text(json.dumps(GRID))
    (folder / "distilled" / "curve.json").write_text(json.dumps(CURVE))
    return folder


def places(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside a value, and its own."""
    yield before
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*before, key))


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    """Return a value with another one at a place."""
    if not place:
        return None if new == DELETED else new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(place) == 1 and new == DELETED:
        del copy[place[0]]
    else:
        copy[place[0]] = changed(copy[place[0]], place[1:], new)
    return copy


def look_at_all(runs: Path) -> None:
    """Do what lists all runs; it never fails."""
    rows = [summary(run, runs) for run in find_runs(runs)]
    assert {row["name"]: row["state"] for row in rows}["one_layer"] == "done"
    json.dumps(rows)
    store = RunStore(runs)
    store.watch(["distilled"])
    entries = store.poll().entries
    assert entries["one_layer"].state == "done"
    for order in ORDERS:
        assert len(ordered(entries.values(), order)) == len(entries)
    entry, history = entries["distilled"], History(RunFolder(runs / "distilled"))
    while history.read():
        pass
    for rows_of in (facts.configuration(entry), facts.results(entry), facts.checkpoints(entry, history)):
        assert all(isinstance(row.text, str) for row in rows_of)
    facts.alerts(entry, history, True)
    facts.side_by_side([entry, entries["one_layer"]], only_changed=False)
    parts = progress.parts(entry)
    progress.progress_line(parts), progress.headline(entry, parts), progress.work_under_way(entry)
    progress.of_teacher(entry, history.stages)
    progress.examples_per_step(entry, True), progress.examples_per_step(entry, False)


def look_at_one(runs: Path) -> None:
    """Do what is about one run; it fails with a UserError alone."""

    def compared() -> None:
        found = compare(read_systems([str(runs / "distilled")], runs_dir=runs, eval_set=None))
        found = replace(found, tables=tuple(available(found)))
        for format_ in ("text", "markdown", "latex", "json", "csv"):
            render(found, format_)

    acts: list[Callable[[], object]] = [
        lambda: to_text(StoredRun(runs / "distilled")),
        lambda: json.dumps(describe(StoredRun(runs / "distilled"))),
        lambda: report(runs / "distilled", "text"),
        compared,
    ]
    for act in acts:
        try:
            act()
        except UserError:
            continue


@settings(deadline=None, max_examples=60, suppress_health_check=[*HealthCheck])
@given(st.data())
def test_a_value_of_another_kind_anywhere(runs: Path, data: st.DataObject) -> None:
    run = runs / "distilled"
    file = data.draw(st.sampled_from(sorted([*run.rglob("*.json"), run / "events.jsonl"])))
    before = file.read_bytes()
    line = data.draw(st.integers(0, len(before.splitlines()) - 1)) if file.suffix == ".jsonl" else None
    value = json.loads(before.splitlines()[line] if line is not None else before)
    new = changed(value, data.draw(st.sampled_from(list(places(value)))), data.draw(st.sampled_from(ODD)))
    try:
        if line is None:
            file.write_text(json.dumps(new))
        else:
            lines = before.decode().splitlines()
            file.write_text("\n".join([*lines[:line], json.dumps(new), *lines[line + 1 :]]) + "\n")
        look_at_all(runs)
        look_at_one(runs)
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("kind", ["empty", "binary", "deep", "digits", "folder", "pipe", "zero", "loop", "line"])
def test_files_that_are_something_else(cli: Cli, tmp_path: Path, runs: Path, kind: str) -> None:
    shutil.copytree(runs, tmp_path / "runs")
    run = tmp_path / "runs" / "distilled"
    for file in [path for path in run.rglob("*") if path.is_file()]:
        kept = file.read_bytes()
        file.unlink()
        texts = {
            "empty": b"",
            "binary": b"\xff\xfe\0\1",
            "deep": b"[" * 99_999,
            "digits": b"9" * 9999,
            "line": b"x" * 10**6,
        }
        if kind in texts:
            file.write_bytes(texts[kind])
        elif kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        else:
            file.symlink_to("/dev/zero" if kind == "zero" else file.name)
        look_at_all_but(run.parent, file)
        file.rmdir() if kind == "folder" else file.unlink()
        file.write_bytes(kept)
    listed = cli("runs", "--runs-dir", run.parent)
    assert listed.code == 0


def look_at_all_but(runs: Path, file: Path) -> None:
    """Look at all runs of a folder, and at the one that has a strange file, which may be gone from the list."""
    rows = [summary(run, runs) for run in find_runs(runs)]
    assert "one_layer" in {row["name"] for row in rows}
    assert RunStore(runs).poll().entries["one_layer"].state == "done"
    read_entry("distilled", RunFolder(runs / "distilled"))
    look_at_one(runs)


@pytest.mark.parametrize("suite", [7, [], {}, {"name": 1}, {"name": "s", "runs": [1]}, {"name": "s", "runs": {}}])
def test_the_record_of_a_suite(tmp_path: Path, suite: Any) -> None:
    (tmp_path / "suite.json").write_text(json.dumps(suite))
    with pytest.raises(UserError, match=r"suite\.json"):
        suite_report(tmp_path, "text")


@pytest.mark.parametrize("odd", [float("inf"), float("nan")])
def test_a_number_that_is_not_finite_in_the_record_stops_no_report(runs: Path, odd: float) -> None:
    record = runs / "distilled" / "run.json"
    before = record.read_bytes()
    value = json.loads(before)
    value["resolved"]["general_seed"] = odd
    try:
        record.write_text(json.dumps(value))
        look_at_one(runs)
        look_at_all(runs)
    finally:
        record.write_bytes(before)

"""Files that grow, are torn, cut, replaced or damaged, and the curves that come of them."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparing_runs import RECORDED
from hypothesis import given
from hypothesis import strategies as st

from distilkit.run_folders.folder import RunFolder
from distilkit_tui.core.history import History, Series
from distilkit_tui.core.progress import Work, headline, of_teacher, parts, work_under_way
from distilkit_tui.core.store import read_entry
from distilkit_tui.core.tail import Log, Tail
from distilkit_tui.plots import View, loss_plot, smooth
from distilkit_tui.widgets.canvas import envelope


def line(step: int, kind: str = "train", key: str = "k", **values: Any) -> str:
    """Return an event as a run writes it."""
    event = {"v": 1, "t": 100.0 + step, "step": step, "kind": kind, "stage": "distil", "key": key, "values": values}
    return json.dumps(event) + "\n"


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def test_a_torn_last_line_waits_for_its_end(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "file")
    assert tail.lines() == []
    add(tail.path, "one\ntw")
    assert tail.lines() == [b"one"]
    assert tail.lines() == []
    add(tail.path, "o\nthree\n")
    assert tail.lines() == [b"two", b"three"]


def test_a_file_that_was_cut_or_replaced_is_read_anew(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "file")
    add(tail.path, "one\ntwo\n")
    tail.lines()
    tail.path.write_text("new\n")
    assert (tail.lines(), tail.restarted) == ([b"new"], True)
    assert (tail.lines(), tail.restarted) == ([], False)
    (tmp_path / "other").write_text("another, longer than the one before\n")
    (tmp_path / "other").replace(tail.path)
    assert (tail.lines(), tail.restarted) == ([b"another, longer than the one before"], True)


def test_a_file_is_read_in_pieces_and_an_endless_line_passed_over(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "file")
    tail.path.write_text("a" * 100 + "\nb\nc\n")
    found = [one for _ in range(20) for one in tail.lines(limit=16)]
    assert found == [b"b", b"c"]


def test_curves_of_a_recorded_run(recorded: Path) -> None:
    history = History(RunFolder(recorded / "distilled"))
    while history.read(1000):
        pass
    events = [json.loads(text) for text in (recorded / "distilled" / "events.jsonl").read_text().splitlines()]
    trained = [event for event in events if (event["kind"], event["stage"]) == ("train", "distil")]
    assert [stage.label for stage in history.stages] == ["fine_tune", "distil"]
    stage = history.stages[1]
    assert stage.losses == ["loss", "attention", "hidden", "embedding", "soft", "hard"]
    assert stage.train["soft"].values.tolist() == [event["values"]["soft"] for event in trained]
    assert stage.train["loss"].steps.tolist() == [event["step"] for event in trained]
    assert list(stage.validation) == ["RR@10", "nDCG@10"]
    assert history.damaged == 0


def test_a_resumed_run_does_steps_again(run: RunFolder) -> None:
    history = History(run)
    add(run.events, "".join(line(step, loss=1.0) for step in range(1, 8)) + line(5, "validation", nDCG=0.3))
    add(run.events, "".join(line(step, loss=2.0) for step in range(4, 6)))
    history.read()
    (stage,) = history.stages
    assert stage.train["loss"].steps.tolist() == [1, 2, 3, 4, 5]
    assert stage.train["loss"].values.tolist() == [1, 1, 1, 2, 2]
    assert len(stage.validation["nDCG"]) == 0


def test_stages_of_one_name_are_told_apart_by_their_key(run: RunFolder) -> None:
    history = History(run)
    add(run.events, line(1, key="teacher", loss=1.0) + line(1, key="student", loss=2.0))
    history.read()
    assert [stage.train["loss"].values.tolist() for stage in history.stages] == [[1.0], [2.0]]


def test_a_teachers_stage_is_told_from_a_students_of_the_same_name() -> None:
    for name, expected in (("distilled-label_only", [True, False]), ("distilled", [True, False])):
        folder = RunFolder(RECORDED / name)
        history, entry = History(folder), read_entry(name, folder)
        history.read()
        assert of_teacher(entry, history.stages) == expected
        titles = [loss_plot(history, place, View(), "teacher: " * one).title for place, one in enumerate(expected)]
        assert titles[0] == "loss · teacher: fine_tune"
        assert "teacher" not in titles[1]


def test_damaged_events_are_counted_and_the_rest_is_shown(run: RunFolder) -> None:
    history = History(run)
    good, torn = line(1, loss=1.0), line(2, loss=2.0)[:20]
    others = ["[]", '"text"', "{}", '{"t": "now", "step": 1}', '{"t": 1, "step": 1, "values": 3}', "\x00\x01", "\udcff"]
    run.events.write_bytes((good + torn + good + "\n".join(others) + "\n").encode(errors="surrogateescape"))
    add(run.events, line(3, loss=float("nan"), soft=None) + line(4, loss=0.5))
    while history.read():
        pass
    assert history.damaged == 1 + len(others)
    assert np.allclose(history.stages[0].train["loss"].values, [1.0, math.nan, 0.5], equal_nan=True)
    assert [alert.text for alert in history.alerts] == ["loss is not finite", "soft is not finite"]


def test_events_that_were_replaced_start_the_curves_anew(run: RunFolder) -> None:
    history = History(run)
    add(run.events, "".join(line(step, loss=1.0) for step in range(9)))
    history.read()
    run.events.write_text(line(1, loss=7.0))
    history.read()
    assert history.stages[0].train["loss"].values.tolist() == [7.0]


def test_a_long_log_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number}\n" for number in range(200_000)))
    log = Log(path)
    while log.read():
        pass
    assert log.lines[-1] == "line 199999"
    assert len(log.lines) == 20_000
    assert log.dropped > 0


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=300), st.sampled_from([2, 10, 50, 200]))
def test_smoothing_is_the_debiased_average_that_it_says(values: list[float], window: int) -> None:
    keep, total, weight, expected = 1 - 2 / (window + 1), 0.0, 0.0, []
    for value in values:
        total, weight = keep * total, keep * weight
        if math.isfinite(value):
            total, weight = total + value, weight + 1
        expected.append(total / weight if math.isfinite(value) else math.nan)
    found = smooth(np.array(values), window)
    scale = max([abs(value) for value in values if math.isfinite(value)], default=1.0) or 1.0
    assert np.allclose(found / scale, np.array(expected) / scale, rtol=1e-9, atol=1e-12, equal_nan=True)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(-1e9, 1e9)), min_size=1, max_size=200))
def test_thinning_loses_no_spike(points: list[tuple[int, float]]) -> None:
    points.sort(key=lambda point: point[0])
    columns, values = np.array([column for column, _ in points]), np.array([value for _, value in points])
    numbers, low, high = envelope(columns, values)
    for number, least, most in zip(numbers, low, high, strict=True):
        inside = values[columns == number]
        assert (least, most) == (inside.min(), inside.max())
    assert set(numbers) == set(columns)


def test_a_series_grows_past_its_first_array_and_rewinds() -> None:
    series = Series()
    for step in range(5000):
        series.append(step, step / 2, -step)
    assert (len(series), series.values[-1], series.times[3]) == (5000, -4999, 1.5)
    series.rewind(10)
    assert series.steps.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("phase", "now"),
    [
        ("teacher: fine_tune", "teacher: fine_tune"),
        ("re-rank test queries", "student: distil"),
        ("time single queries", "student: distil"),
        ("student: distil", "student: distil"),
        ("student: re-rank test queries", "student: distil"),
        ("student: re-rank test", "evaluation"),
        ("student: time single queries", "evaluation"),
    ],
)
def test_the_teachers_own_ranking_is_not_the_evaluation_of_the_student(phase: str, now: str) -> None:
    entry = read_entry("distilled", RunFolder(RECORDED / "distilled"))
    going = replace(entry, state="running", status=replace(entry.status, phase=phase))
    assert [part.label for part in parts(going) if part.state == "now"] == [now]


def test_while_its_twin_is_trained_a_run_is_there_and_not_where_its_own_training_ended(recorded: Path) -> None:
    entry = read_entry("distilled", RunFolder(recorded / "distilled"))
    at = {"phase": "label-only: fine_tune", "phase_done": 6.0, "phase_total": 8.0, "step": 8, "total": 8}
    entry = replace(entry, state="running", status=replace(entry.status, **at, rate=2.0, eta=1.0))
    assert work_under_way(entry) == Work("label-only: fine_tune", 6.0, 8.0, 2.0, 1.0)
    assert headline(entry, parts(entry)) == "label-only twin"
    assert (entry.rate, entry.eta) == (None, None)

"""The state of a run as another process derives it from real life signs."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cli_processes import Started, started, wait_for

from distilkit.errors import Stopped
from distilkit.pipeline.reporter import Reporter
from distilkit.run_folders.folder import RunFolder, provenance
from distilkit.run_folders.lock import Lock
from distilkit.run_folders.record import RunRecord, read_status
from distilkit.run_folders.state import derive


def live(path: Path, end: str | None = None, heartbeat: float = 0.0) -> None:
    """Be a run: hold its lock, show life signs, and end in a way or wait to be killed."""
    folder = RunFolder(path)
    assert Lock(folder.lock).acquire()
    folder.create(provenance())
    reporter = Reporter(folder, quiet=True)
    with reporter.live(), reporter.phase("train", 100, training=True) as phase:
        phase.advance({"loss": 1.0}, count=7)
        reporter.fields["expect_next_s"] = 25
        reporter.status("running")
        if heartbeat:
            change(folder, hb_t=time.time() - heartbeat)
        (path / "ready").touch()
        while end is None:
            time.sleep(0.01)
            if reporter.stop_requested():
                end = "stopped"
    reporter.status(end)


def change(folder: RunFolder, **fields: Any) -> None:
    from distilkit.files import write_json

    write_json(folder.status_json, {**read_status(folder.status_json).raw, **fields})


def state(path: Path, **changes: Any) -> str:
    """Derive a run's state, with some of its record changed."""
    from distilkit.files import read_json

    folder = RunFolder(path)
    record = RunRecord.of({**read_json(folder.run_json), **changes})
    return derive(folder, record, read_status(folder.status_json))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def ready(run: Path, process: Started) -> None:
    wait_for((run / "ready").exists, process)


def test_a_live_run_is_running_and_a_killed_one_crashed(run: Path, tmp_path: Path) -> None:
    with started(live, run, folder=tmp_path / "said") as process:
        ready(run, process)
        assert state(run) == "running"
        status = read_status(run / "status.json")
        assert (status.step, status.total, status.pid) == (7, 100, process.pid)
        process.signal(signal.SIGKILL)
        process.wait()
    assert read_status(run / "status.json").state == "running"
    assert state(run) == "crashed"


def test_a_run_that_is_silent_for_too_long_is_stalled(run: Path, tmp_path: Path) -> None:
    # It announced a sign within 25 s; three times that is 75 s.
    for silent, expected in [(70.0, "running"), (80.0, "stalled")]:
        with started(live, run, None, silent, folder=tmp_path / "said") as process:
            ready(run, process)
            assert state(run) == expected
        (run / "ready").unlink()


@pytest.mark.parametrize("end", ["done", "stopped", "crashed"])
def test_a_run_that_ended_says_how(run: Path, tmp_path: Path, end: str) -> None:
    with started(live, run, end, folder=tmp_path / "said") as process:
        assert process.wait() == 0, process.stderr
    assert state(run) == end
    # What a finished run says holds anywhere and for ever.
    change(RunFolder(run), hb_t=0)
    assert state(run, boot_id="another", host={"host": "another"}) == end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request(run: Path, tmp_path: Path, number: int) -> None:
    with started(live, run, folder=tmp_path / "said") as process:
        ready(run, process)
        process.signal(number)
        assert process.wait() == 0, process.stderr
    assert state(run) == "stopped"


@pytest.mark.parametrize("elsewhere", [{"boot_id": "another"}, {"host": {"host": "another"}}])
def test_a_run_elsewhere_is_lost_when_it_is_silent(run: Path, tmp_path: Path, elsewhere: dict[str, Any]) -> None:
    with started(live, run, folder=tmp_path / "said") as process:
        ready(run, process)
        for silent, expected in [(0, "running"), (75 + 50, "running"), (75 + 70, "lost")]:
            change(RunFolder(run), hb_t=time.time() - silent)
            assert state(run, **elsewhere) == expected


def test_a_run_without_a_status_has_crashed(run: Path) -> None:
    RunFolder(run).create(provenance())
    assert state(run) == "crashed"
    RunFolder(run).status_json.write_text("{")
    assert state(run) == "crashed"


def test_phases_stop_where_there_is_no_checkpoint_to_write(run: Path) -> None:
    reporter = Reporter(RunFolder(run), quiet=True)
    reporter.folder.create({})  # type: ignore[union-attr]
    (run / "stop").touch()
    with reporter.phase("train", 3, training=True) as training:
        training.advance()
        with reporter.phase("validate", 3) as inner:
            inner.advance()  # part of a training
    with pytest.raises(Stopped), reporter.phase("score", 3) as scoring:
        scoring.advance()
    follower = Reporter(quiet=True, leads=False)
    follower._signals.append(signal.SIGTERM)
    with follower.phase("score", 3) as scoring:
        scoring.advance()  # the leading process stops all of them


def test_the_last_status_is_up_to_date(run: Path) -> None:
    folder = RunFolder(run)
    folder.create({})
    reporter = Reporter(folder, quiet=True)
    with reporter.phase("train", 100, training=True) as phase:
        for _ in range(50):
            phase.advance({"loss": 0.5})
    reporter.status("stopped", exit={"code": 130})
    status = read_status(folder.status_json)
    assert (status.step, status.phase_done, status.values) == (50, 50, {"loss": 0.5})
    assert status.pid == os.getpid()

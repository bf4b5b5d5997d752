"""Who ends what: signals, `stop` files, members of a suite, and the processes of a group."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from distilkit.alive import is_alive, process_start
from distilkit.errors import Busy, GroupLost, RunFailed, Stopped, UserError
from distilkit.pipeline import suite_run
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.suite import members
from distilkit.recipe import load_with_source
from distilkit.run_folders.folder import RunFolder
from distilkit.training.processes import Processes

MATRIX = """
[matrix]
strategies = ["fine_tune", "standard_kd", "simplified_tinybert"]
students = ["bert_cat:L2_H16:first_layers"]
seeds = [1]
"""


@pytest.fixture
def hears_of_its_terminal() -> Iterator[None]:
    """Take SIGHUP as usual, also where the tests run under nohup, which has them ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Gone:
    """A terminal that was closed: nothing can be written to it."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")

    def flush(self) -> None:
        raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("numbers", "at_once"),
    [
        ([signal.SIGHUP], False), ([signal.SIGHUP, signal.SIGHUP], False), ([signal.SIGHUP, signal.SIGTERM], False),
        ([signal.SIGTERM, signal.SIGHUP], False), ([signal.SIGTERM], False), ([signal.SIGTERM, signal.SIGINT], True),
        ([signal.SIGHUP, signal.SIGTERM, signal.SIGTERM], True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.usefixtures("hears_of_its_terminal")
def test_a_closed_terminal_asks_to_stop_as_sigterm_does(numbers: list[int], at_once: bool, closed: bool) -> None:
    console = Console(file=Gone() if closed else None, force_terminal=closed, quiet=not closed)  # type: ignore[arg-type]
    reporter = Reporter(console=console)
    asked = pytest.raises(KeyboardInterrupt) if at_once else pytest.raises(Stopped)
    before = signal.getsignal(signal.SIGHUP)
    reporter.bars = None
    with asked, reporter.live():
        for number in numbers:
            os.kill(os.getpid(), number)
        reporter.say("goes on to its checkpoint")
        reporter.raise_if_stopped()
    assert signal.getsignal(signal.SIGHUP) == before


def test_who_ignores_a_closed_terminal_goes_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        reporter = Reporter(quiet=True)
        with reporter.live():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not reporter.stop_requested()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_stop_file_of_a_run_stops_its_twin(tmp_path: Path) -> None:
    run, twin = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "run-label_only")
    for folder in (run, twin):
        folder.path.mkdir()
    reporter = Reporter(run, quiet=True)
    own = Reporter(twin, parent=reporter)
    own.raise_if_stopped()
    run.ask_to_stop()
    assert own.stop_requested()
    with pytest.raises(Stopped):
        own.raise_if_stopped()
    run.stop.unlink()
    twin.ask_to_stop()
    assert own.stop_requested()
    assert not reporter.stop_requested()


@pytest.fixture
def suite(tiny_recipe: Path, tmp_path: Path) -> Request:
    """Return the request of a suite of three runs."""
    text = tiny_recipe.read_text().replace('[strategy]\nname = "simplified_tinybert"\n', "")
    (tmp_path / "suite.toml").write_text(text + MATRIX)
    recipe, source = load_with_source(tmp_path / "suite.toml")
    return Request(recipe, source, tmp_path / "runs", resume=True)


@pytest.mark.parametrize(
    "error",
    [
        RunFailed("diverged"), UserError("damaged"), RuntimeError("odd"), OSError(5, "I/O error"), KeyError("x"),
        MemoryError(), AssertionError(), RecursionError(), SystemExit(1), SystemExit(2),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_member_that_fails_ends_no_other(
    suite: Request, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    done: list[str] = []

    def execute(request: Request, quiet: bool) -> None:
        request.folder.path.mkdir(parents=True, exist_ok=True)
        if "standard_kd" in request.recipe.name:
            raise error
        done.append(request.recipe.name)

    monkeypatch.setattr(suite_run, "execute", execute)
    failed: list[str] = []
    todo = members(suite.recipe)
    suite_run._train_all(todo, suite, True, failed)
    assert len(done) == 2
    assert len(failed) == 1
    assert "standard_kd" in failed[0]
    if not isinstance(error, RunFailed | UserError | SystemExit):
        (broken,) = [one for one in todo if "standard_kd" in one.recipe.name]
        assert type(error).__name__ in RunFolder(suite.runs_dir / broken.recipe.name).log.read_text()


@pytest.mark.parametrize("error", [Stopped("asked"), KeyboardInterrupt(), GroupLost("process 1"), SystemExit(130)])
def test_what_ends_a_whole_suite(suite: Request, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def execute(request: Request, quiet: bool) -> None:
        raise error

    monkeypatch.setattr(suite_run, "execute", execute)
    with pytest.raises(type(error)):
        suite_run._train_all(members(suite.recipe), suite, True, [])


def test_a_member_that_is_busy_is_waited_for(suite: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def execute(request: Request, quiet: bool) -> None:
        seen.append(request.recipe.name)
        if seen.count(request.recipe.name) == 1:
            raise Busy("another process")

    monkeypatch.setattr(suite_run, "execute", execute)
    monkeypatch.setattr(suite_run, "WAIT", 0.0)
    suite_run._train_all(members(suite.recipe), replace(suite), True, failed := [])
    assert (len(seen), failed) == (6, [])


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_the_process_that_was_lost_is_named(sleeper: subprocess.Popen[bytes]) -> None:
    import socket

    group: Any = Processes.__new__(Processes)
    here, own = socket.gethostname(), os.getpid()
    peers = [(here, own, process_start(own)), (here, sleeper.pid, process_start(sleeper.pid)), ("elsewhere", 1, None)]
    group._peers = peers
    assert group.lost(RuntimeError("shapes do not fit")) == ""
    assert group._gone() == []
    sleeper.kill()
    said = group.lost(RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"))
    assert said == f"has lost process 1 (pid {sleeper.pid}), which failed or was killed"
    assert not is_alive(sleeper.pid, None)  # a zombie until it is asked about
    sleeper.wait()
    assert not is_alive(sleeper.pid, None)
    assert is_alive(own, process_start(own))
    assert not is_alive(own, "0")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process that its parent has ended")
def test_a_worker_ends_with_the_main_process_of_its_suite(tmp_path: Path) -> None:
    """Killed with SIGKILL, which nothing can catch, the main process takes its workers with it."""
    worker = (
        "import os, sys, time\nfrom distilkit.pipeline.suite_run import _end_with\n"
        "_end_with(int(sys.argv[1]))\nprint('ready', flush=True)\ntime.sleep(600)"
    )
    main = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {worker!r}, str(os.getpid())], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nprint(child.pid, flush=True)\nchild.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", main], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert is_alive(pid, None)
        process.kill()
        process.wait()
        end = time.monotonic() + 60
        while is_alive(pid, None) and time.monotonic() < end:
            time.sleep(0.05)
    assert not is_alive(pid, None)
    with pytest.raises(Stopped, match="the suite's main process has ended"):
        suite_run._end_with(-1)

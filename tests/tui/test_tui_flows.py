"""A run followed, stopped, gone on with and killed from the screens, and what outlives the application."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_tui_states import long_run, state, training
from textual.pilot import Pilot
from tui_driving import SECONDS, app_of, drive, says, shows, until

from distilkit.run_folders.read import StoredRun

from cli_processes import run_cli, started  # isort: skip


def step_of(run: Path) -> int:
    """Return the step that a run last said it was at."""
    return StoredRun(run).status().step or 0


@pytest.mark.slow
def test_follow_stop_and_resume(tiny_recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await pilot.press("slash", *"state:running", "enter", "enter")
        await shows(pilot, "▶ running  tiny", "student: distil", "memory", "a loss")
        await pilot.press("x")
        await shows(pilot, "■ stopped  tiny", "Alerts (1)")
        reached = step_of(runs / "tiny")
        await pilot.press("r")
        await says(pilot, "continues in a process of its own")
        (child,) = app.launcher._children
        await until(pilot, lambda: StoredRun(runs / "tiny").status().state == "running")
        await until(pilot, lambda: step_of(runs / "tiny") > reached + 10)
        await shows(pilot, "▶ running  tiny", f"pid {child.process.pid}")
        await pilot.press("x")
        await until(pilot, lambda: child.process.returncode is not None)
        await shows(pilot, "■ stopped  tiny")

    with started(run_cli, long_run(tiny_recipe, runs), folder=tmp_path / "said") as process:
        training(runs, process)
        drive(runs, steps)
        assert process.wait() == 130
    assert (runs / "tiny" / "checkpoints").is_dir()


@pytest.mark.slow
def test_a_run_that_does_not_stop_is_killed_when_asked_again(tiny_recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        os.kill(app.snapshot.entries["tiny"].status.pid, signal.SIGSTOP)
        await pilot.press("x")
        await until(pilot, lambda: app.stopping == {"tiny"})
        await pilot.press("enter")
        await shows(pilot, "running, stopping")
        await pilot.press("x")
        await shows(pilot, "Kill (y)", "No (n)")
        await pilot.press("y")
        await shows(pilot, "✗ crashed")
        # By its lock, which is free at once: silence is noticed after a minute, and shows as another state.
        assert app.snapshot.entries["tiny"].state == "crashed"

    with started(run_cli, long_run(tiny_recipe, runs), folder=tmp_path / "said") as process:
        training(runs, process)
        drive(runs, steps)
        assert process.wait() == -signal.SIGKILL


class Tmux:
    """A terminal of its own, in tmux."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def __call__(self, *arguments: object) -> str:
        command = ["tmux", "-S", str(self.socket), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout

    def shows(self, pattern: str) -> str:
        """Wait until something is on the screen."""
        end = time.monotonic() + SECONDS
        while not re.search(pattern, found := self("capture-pane", "-p")):
            assert time.monotonic() < end, f"{pattern} never showed:\n{found}"
            time.sleep(0.1)
        return found


@pytest.fixture
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not on this machine")
    terminal = Tmux(tmp_path_factory.mktemp("tmux") / "socket")
    yield terminal
    subprocess.run(["tmux", "-S", str(terminal.socket), "kill-server"], capture_output=True)


@pytest.mark.slow
def test_in_a_real_terminal_and_runs_outlive_it(tmux: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    command = f"NO_COLOR=1 {sys.executable} -m distilkit tui --runs-dir {runs}"
    tmux("new-session", "-d", "-x", "100", "-y", "30", command)
    tmux.shows("there is no folder")
    with started(run_cli, long_run(tiny_recipe, runs), folder=tmp_path / "said") as process:
        training(runs, process)
        tmux.shows("▶ running")
        colours = set(re.findall(r"\x1b\[[\d;]*?38;2;(\d+);(\d+);(\d+)", tmux("capture-pane", "-p", "-e")))
        assert all(len(set(colour)) == 1 for colour in colours), "NO_COLOR leaves grey alone"
        tmux("send-keys", "Enter")
        tmux.shows(r"▶ running +tiny")
        pid = int(tmux("display-message", "-p", "#{pane_pid}"))
        os.kill(pid, signal.SIGKILL)
        step = step_of(runs / "tiny")
        end = time.monotonic() + SECONDS
        while step_of(runs / "tiny") <= step:
            assert process.running
            assert time.monotonic() < end
            time.sleep(0.05)
        assert state(runs) == "running"


def test_q_leaves_at_once(tmux: Any, recorded: Path) -> None:
    tmux("new-session", "-d", "-x", "80", "-y", "24", f"{sys.executable} -m distilkit tui --runs-dir {recorded}; read")
    tmux.shows("seeds/stopped")
    tmux("send-keys", "q")
    end = time.monotonic() + SECONDS
    while "seeds/stopped" in tmux("capture-pane", "-p"):
        assert time.monotonic() < end
        time.sleep(0.05)

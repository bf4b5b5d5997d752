"""distilkit in processes of its own: real signals, locks and limits, without the seconds that importing torch takes.

A server imports everything once and every process is forked from it.
"""

import atexit
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "distilkit.cli",
        "distilkit.training.trainer",
        "distilkit.pipeline.run",
        "distilkit.pipeline.plan",
        "distilkit.comparison.reports",
        "distilkit.evaluation.cost",
        "distilkit.models.save",
        "distilkit.models.initialise",
        "distilkit.data.bm25",
        "distilkit.commands.run",
        "distilkit.commands.score",
        "distilkit.commands.retrieve",
        "bm25s",
        "ir_measures",
        "pandas",
        "frozen_heap",
    ]
)

SECONDS = 500.0
"""How long a process may take, on a machine that is busy with other work too; below the limit of a whole test."""


class Started:
    """A process that was started, and what it printed."""

    def __init__(self, target: Callable[..., object], arguments: tuple[Any, ...], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._outputs = folder / "stdout", folder / "stderr"
        for output in self._outputs:
            output.write_text("")
        self._process = _context.Process(target=_inside, args=(target, arguments, self._outputs))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Return the exit code, negative for a signal; a process that does not end is killed."""
        self._process.join(SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
            raise AssertionError(f"still running after {SECONDS:.0f} s:\n{self.stderr}")
        return self._process.exitcode

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def stdout(self) -> str:
        return self._outputs[0].read_text()

    @property
    def stderr(self) -> str:
        return self._outputs[1].read_text()


@contextmanager
def started(target: Callable[..., object], *arguments: Any, folder: Path) -> Iterator[Started]:
    """Run a function in a process of its own, which does not outlive the block."""
    process = Started(target, arguments, folder)
    try:
        yield process
    finally:
        if process.running:
            process._process.kill()
        process._process.join()


def run_cli(arguments: list[str], largest_file: int | None = None, installed: Path | None = None) -> None:
    """Be the command `distilkit ARGUMENTS`, with every file limited to a number of bytes, where more is installed."""
    from distilkit.cli import main

    if installed is not None:
        sys.path.insert(0, str(installed))

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the tests ignore it, and so would their processes
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    sys.argv = ["distilkit", *arguments]
    main()


def distilkit(arguments: list[str], folder: Path, largest_file: int | None = None) -> tuple[int, str]:
    """Run a command to its end; return its exit code and what it wrote to stderr."""
    with started(run_cli, arguments, largest_file, folder=folder) as process:
        return process.wait(), process.stderr


def be_rank(rank: int, processes: int, port: int, target: Callable[..., object], *arguments: Any) -> None:
    """Do one of the processes' share, with what `torchrun` would tell it."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in own.items()}, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    target(*arguments)


@contextmanager
def together(
    target: Callable[..., object], *arguments: Any, folder: Path, processes: int = 2
) -> Iterator[list[Started]]:
    """Run a function in several processes that share its work, none of which outlives the block."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    with ExitStack() as stack:
        ranks = range(processes)
        words = [(be_rank, rank, processes, port, target, *arguments) for rank in ranks]
        yield [stack.enter_context(started(*words[rank], folder=folder / f"rank{rank}")) for rank in ranks]


def end_well(ranks: list[Started]) -> str:
    """Wait until processes that share some work have done it; return what they printed."""
    assert [rank.wait() for rank in ranks] == [0] * len(ranks), "".join(rank.stderr for rank in ranks)
    return "".join(rank.stdout for rank in ranks)


def wait_for(condition: Callable[[], Any], process: Started | None = None) -> Any:
    """Return what a condition comes to as soon as that is true."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        assert process is None or process.running, process.stderr
        time.sleep(0.005)
    raise AssertionError(f"not within {SECONDS:.0f} s" + (f":\n{process.stderr}" if process else ""))


def events(run: Path, kind: str, stage: str) -> list[dict[str, Any]]:
    """Return a run's whole events of one kind and stage, less those of stages that it found trained."""
    path = run / "events.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    own = [event for event in found if "reused" not in event]
    return [event for event in own if (event["kind"], event["stage"]) == (kind, stage)]


def _inside(target: Callable[..., object], arguments: tuple[Any, ...], outputs: tuple[Path, Path]) -> None:
    for descriptor, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    try:
        target(*arguments)
    finally:
        atexit._run_exitfuncs()  # which a forked process leaves without

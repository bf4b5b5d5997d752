"""A command in a process of its own that dies at a moment that can be chosen again: an operation by its number."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cli_processes import Started, run_cli, started

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OPERATIONS = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate", "shutil.copyfile")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative for a signal), what it said, and its operations on files."""

    code: int
    said: str
    operations: int
    seconds: float


@dataclass(frozen=True)
class Kill:
    """A death by SIGKILL: so many seconds after an operation on files, counted from 1."""

    operation: int
    delay: float = 0.0

    def __str__(self) -> str:
        after = f" and {1000 * self.delay:.0f} ms" if self.delay else ""
        return f"killed at operation {self.operation}{after}"


def run(words: list[str], place: Path, kill: Kill | None = None) -> Ended:
    """Run `distilkit WORDS` in a process of its own, to its end or until it is killed."""
    begun = time.monotonic()
    with started(_be, words, place, kill, folder=place / "said") as process:
        code = process.wait()
    counted = place / "said" / "operations"
    operations = int(counted.read_text()) if counted.exists() else 0
    counted.unlink(missing_ok=True)
    said = process.stderr if code else process.stderr + process.stdout
    return Ended(code, said, operations, time.monotonic() - begun)


@contextmanager
def starting(commands: Mapping[str, tuple[list[str], Kill | None]], place: Path) -> Iterator[dict[str, Started]]:
    """Start several commands at once, each by its name, none of which outlives the block."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(started(_be, words, place, kill, folder=place / "said" / name))
            for name, (words, kill) in commands.items()
        }


def _be(words: list[str], place: Path, kill: Kill | None) -> None:
    """Be the command, with small pieces so that there is something between them, and count operations on files."""
    import distilkit.evaluation.index as index
    import distilkit.scoring.job as job

    job.SHARD, index.BLOCK_ROWS = 64, 8
    count = _counted(str(place), kill)
    try:
        run_cli(words)
    finally:
        with suppress(OSError):
            (place / "said" / "operations").write_text(str(count[0]))


def _counted(inside: str, kill: Kill | None) -> list[int]:
    count = [0]

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            counts = isinstance(flags, int) and bool(flags & WRITES) and str(path).startswith(inside)
        else:
            counts = event in OPERATIONS
        if not counts:
            return
        count[0] += 1
        if kill is not None and count[0] == kill.operation:
            if kill.delay:
                threading.Timer(kill.delay, _die).start()
            else:
                _die()

    sys.addaudithook(watch)
    return count


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

"""What the terminal interface costs: start, processor share, memory, chart and table.

    python benchmarks/tui.py [--seconds 20] [--only start live chart table]

The application runs in a terminal of its own (170 x 45) on run folders made here, whose locks, life signs and events
come from a second process, twice a second. Prints a Markdown table of figures and what they should stay below.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (170, 45)
POINTS = 5000
TERMS = ("attention", "hidden", "embedding", "soft", "hard")


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the processor's share is measured")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write_on(options.write)
        return
    print("| what | measured | below |\n|---|---|---|")
    for name in options.only:
        for what, measured, limit in PARTS[name](options.seconds):
            print(f"| {what} | {measured} | {limit} |", flush=True)


Rows = Iterator[tuple[str, str, str]]


def start(seconds: float) -> Rows:
    """Time from the start of the process to the first paint of the runs: processor time, and time by the clock."""
    for count in (200, 1000):
        with tempfile.TemporaryDirectory() as folder:
            make_runs(Path(folder), count, points=100, live=False)
            times = []
            for _ in range(3):
                began = time.monotonic()
                with Terminal(Path(folder)) as terminal:
                    terminal.read_until("run-0000")
                    times.append((terminal.processor_seconds(), time.monotonic() - began))
            spent, waited = sorted(times)[1]
            measured = f"{spent:.2f} s of processor time, {waited:.2f} s by the clock"
            yield f"start to first paint, {count} runs", measured, "1 s" if count == 200 else "–"


def live(seconds: float) -> Rows:
    """Share of a core, and memory, while marked runs grow."""
    for count, limit in ((3, "12 %"), (50, "45 %")):
        with tempfile.TemporaryDirectory() as folder, growing(Path(folder), count), Terminal(Path(folder)) as terminal:
            terminal.read_until(r"run-0000")
            for _ in range(count):
                terminal.type(" ")
            terminal.read_for(15.0)  # until their histories are read
            before = terminal.processor_seconds()
            terminal.read_for(seconds)
            share = (terminal.processor_seconds() - before) / seconds
            what = f"{count} runs of {POINTS} points growing at 2 Hz, {count} curves"
            yield what, f"{share:.1%} of a core", limit
            if count == 50:
                yield "memory at most, the same", f"{terminal.memory() / 2**20:.0f} MiB", "200 MB"


def chart(seconds: float) -> Rows:
    """Milliseconds a frame of a chart."""
    from rich.style import Style

    from distilkit_tui.themes import series_colours
    from distilkit_tui.widgets.chart import draw
    from distilkit_tui.widgets.plot import Curve, Plot

    generator = np.random.default_rng(0)
    x = np.arange(POINTS, dtype=float)
    colours = [Style.parse(colour) for colour in series_colours(dark=True)]
    for count in (1, 8, 50):
        curves = tuple(Curve(f"run {n}", x, generator.normal(size=POINTS).cumsum(), n) for n in range(count))
        spent = milliseconds(partial(draw, Plot("loss", curves), 120, 30, Style(), colours))
        yield f"chart of {count} x {POINTS} points, 120 x 30", f"{spent:.1f} ms", "50 ms"


def table(seconds: float) -> Rows:
    """Milliseconds of a table's first paint and of a page down."""
    import asyncio

    from textual.app import App, ComposeResult
    from textual.geometry import Region

    from distilkit_tui.widgets.table import Column, VirtualTable

    class One(App[None]):
        def compose(self) -> ComposeResult:
            yield VirtualTable([Column(f"column {number}", 12, grow=1) for number in range(8)])

    async def measure() -> tuple[float, float]:
        app = One()
        async with app.run_test(size=SIZE) as pilot:
            shown = app.query_one(VirtualTable)
            keys, whole = [f"q{number}" for number in range(10_000)], Region(0, 0, *SIZE)
            began = time.process_time()
            shown.show(keys, lambda key: [key, *(f"{key} {number}" for number in range(7))])
            shown.render_lines(whole)
            first = time.process_time() - began
            began = time.process_time()
            for _ in range(20):
                shown.action_page(1)
                shown.render_lines(whole)
            page = (time.process_time() - began) / 20
            await pilot.pause()
        return 1000 * first, 1000 * page

    first, page = asyncio.run(measure())
    yield "first paint of a table of 10,000 rows x 8", f"{first:.1f} ms", "100 ms"
    yield "a page down in it", f"{page:.1f} ms", "–"


PARTS: dict[str, Callable[[float], Rows]] = {"start": start, "live": live, "chart": chart, "table": table}


def milliseconds(act: Callable[[], object]) -> float:
    """Return the median processor time of ten calls, which others on the machine do not lengthen."""
    times = []
    for _ in range(10):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return 1000 * sorted(times)[5]


def make_runs(runs_dir: Path, count: int, points: int, live: bool) -> None:
    """Write run folders with as many logged steps each."""
    from distilkit.run_folders.folder import RunFolder, provenance

    facts = provenance()
    generator = np.random.default_rng(0)
    for number in range(count):
        name = f"run-{number:04}"
        train = {"learning_rate": 1e-4, "metric_for_best_model": "nDCG@10", "per_device_train_batch_size": 32}
        record: dict[str, Any] = {
            "name": name,
            "strategy": "simplified_tinybert",
            "student": "bert_cat:L3_H384",
            "seed": number,
            "twin": None,
            "overrides": [],
            "resolved": {"strategy": {"name": "simplified_tinybert"}, "train": train},
            "data": {"name": "pydocs", "fingerprint": "0" * 64},
            **facts,
        }
        folder = RunFolder(runs_dir / name)
        folder.create(record)
        write_status(folder, points, "running" if live else "done")
        noise = generator.normal(size=points)
        folder.events.write_text("".join(event(step, float(noise[step])) for step in range(points)))


def event(step: int, noise: float) -> str:
    """Return a line of events.jsonl."""
    loss = 2 / (1 + step / 500) + 0.1 * noise
    values = {"loss": loss, **dict.fromkeys(TERMS, loss / 5), "learning_rate": 1e-4}
    about = {"v": 1, "t": time.time(), "step": step, "kind": "train", "stage": "distil", "key": "0" * 16}
    return json.dumps({**about, "values": values}) + "\n"


def write_status(folder: Any, step: int, state: str) -> None:
    """Replace a run's life signs."""
    from distilkit.files import write_json

    values = {"loss": 2 / (1 + step / 500), "learning_rate": 1e-4}
    phase = {"phase": "student: distil", "phase_done": step, "phase_total": 20_000, "rate": 2.0, "eta": 20_000 - step}
    status = {"state": state, **phase, "step": step, "total": 20_000, "values": values, "expect_next_s": 30}
    write_json(folder.status_json, {**status, "pid": os.getpid(), "pid_start": None, "hb_t": time.time()})


def write_on(runs_dir: Path) -> None:
    """Be the runs of a folder: hold their locks and write twice a second, until killed."""
    from distilkit.run_folders.folder import RunFolder
    from distilkit.run_folders.lock import Lock

    folders = [RunFolder(path.parent) for path in sorted(runs_dir.glob("*/run.json"))]
    locks = [Lock(folder.lock) for folder in folders]
    assert all(lock.acquire() for lock in locks)
    print("ready", flush=True)
    step = POINTS
    while True:
        for folder in folders:
            with folder.events.open("a") as file:
                file.write(event(step, 0.0))
            write_status(folder, step, "running")
        step += 1
        time.sleep(0.5)


@contextmanager
def growing(runs_dir: Path, count: int) -> Iterator[None]:
    """Let runs grow for a block."""
    make_runs(runs_dir, count, POINTS, live=True)
    writer = subprocess.Popen([sys.executable, __file__, "--write", str(runs_dir)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        yield
    finally:
        writer.kill()
        writer.communicate()


class Terminal:
    """`distilkit tui` in a terminal that nobody looks at."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir

    def __enter__(self) -> "Terminal":
        command = [sys.executable, "-m", "distilkit", "tui", "--runs-dir", str(self._runs_dir)]
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
            os.execv(sys.executable, command)
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        return self

    def __exit__(self, *problem: object) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._file)

    def type(self, keys: str) -> None:
        """Press keys, slowly enough to be taken one by one."""
        os.write(self._file, keys.encode())
        self.read_for(0.1)

    def read_for(self, seconds: float) -> str:
        """Take what is printed for a while."""
        text, end = "", time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self._file], [], [], left)[0]:
                with suppress(OSError):
                    text += os.read(self._file, 1 << 16).decode(errors="replace")
        return text

    def read_until(self, pattern: str, seconds: float = 30.0) -> None:
        """Take what is printed until something is."""
        text, end = "", time.monotonic() + seconds
        while not re.search(pattern, text):
            assert time.monotonic() < end, f"{pattern} was not printed"
            text += self.read_for(0.005)

    def processor_seconds(self) -> float:
        """Return the processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the most bytes that it has held."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return 1024 * float(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


if __name__ == "__main__":
    main()

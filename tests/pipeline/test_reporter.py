"""What a run shows while it works: a table that fills on a terminal, plain lines elsewhere."""

import io
import re
from pathlib import Path

from rich.console import Console

from distilkit.pipeline.reporter import Reporter
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.record import read_status


def shown(terminal: bool, folder: RunFolder | None = None) -> str:
    """Return what a reporter writes of two systems, the second one's name full of markup."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=100, highlight=False)
    reporter = Reporter(folder, console=console)
    with reporter.live():
        reporter.row("bm25", {"RR@10": 0.41234, "nDCG@10": 0.5})
        reporter.start_whole(100.0)
        with reporter.phase("student: distil", 4, work=25.0) as phase:
            phase.advance({"loss": 1.0})
            twin = Reporter(parent=reporter)
            twin.row("[red]mine", {"nDCG@10": 0.25})
            phase.reach(4, 4)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())


def test_a_terminal_has_a_table_that_fills_above_the_bars() -> None:
    text = shown(terminal=True)
    last = text[text.rindex("System") :]
    rows = [line.split() for line in last.splitlines()]
    assert rows[0] == ["System", "RR@10", "nDCG@10"]
    assert ["bm25", "0.4123", "0.5000"] in rows
    assert ["[red]mine", "0.2500"] in rows
    assert "the whole run" in last
    assert "student: distil" in last


def test_elsewhere_a_line_says_what_is_measured() -> None:
    text = shown(terminal=False)
    assert "measured: bm25: RR@10 0.4123, nDCG@10 0.5000\n" in text
    assert "measured: [red]mine: nDCG@10 0.2500\n" in text
    assert "System" not in text
    assert re.search(r"student: distil: 4/4 in .* s \(whole run: 100%, about 0 s left\)", text)


def test_the_forecast_is_in_the_status(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    shown(terminal=False, folder=folder)
    whole = read_status(folder.status_json).whole
    assert (whole["share"], whole["left_s"]) == (1.0, 0.0)


def test_of_several_processes_one_keeps_the_events(tmp_path: Path) -> None:
    other = Reporter(quiet=True, leads=False)
    for reporter in (other, Reporter(parent=other)):  # the twin's too
        with reporter.recording("a key", tmp_path / "events.jsonl"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_twin_is_trained_says_so_and_keeps_its_own_steps(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, quiet=True)
    with reporter.phase("student: distil", 4, training=True) as phase:
        phase.reach(4)
    twin = Reporter(parent=reporter)
    with twin.phase("label-only: fine_tune", 8, training=True) as phase:
        phase.reach(6)
        reporter.status("running")
        status = read_status(folder.status_json)
    assert (status.phase, status.phase_done, status.phase_total) == ("label-only: fine_tune", 6, 8)
    assert (status.step, status.total) == (4, 4)

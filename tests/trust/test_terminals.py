"""Nothing that a name, a text or a message holds drives a terminal, a log or a spreadsheet."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import distilkit.cli
from distilkit.errors import UserError
from distilkit.pipeline.plan import Plan
from distilkit.pipeline.reporter import Reporter
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.results import read_per_query, write_per_query
from distilkit.tables import csv_cell, csv_text, plain, printable, table

Cli = Callable[..., Any]
# Clears the screen, sets the title, forges a line, turns the writing around, breaks off a line.
NASTY = "a\x1b[2Jb\x1b]0;title\x07c\rd\x9b31me\u202ef\x00g\x7f"
DRIVES = [*(chr(code) for code in (*range(9), *range(11, 32), *range(127, 160)))]


def drives(text: str) -> list[str]:
    return [one for one in text if one in DRIVES]


@given(st.text())
def test_printable_leaves_nothing_that_drives_a_terminal(text: str) -> None:
    assert not drives(printable(text))
    assert not drives(plain(text))
    assert "\u202e" not in plain(text)


def test_printable_keeps_lines_tabs_and_styles() -> None:
    assert printable("a\tb\n\x1b[1mbold\x1b[0m\n") == "a\tb\n\x1b[1mbold\x1b[0m\n"
    assert printable("\x1b[2J\x1b[1;31m") == "\\x1b[2J\x1b[1;31m"


def test_what_a_verb_returns_is_printed_without_controls(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilkit.commands.listings.recipes", lambda asked: NASTY)
    assert not drives(cli("recipes").out)

    def fail(asked: object) -> None:
        raise UserError(NASTY)

    monkeypatch.setattr("distilkit.commands.listings.recipes", fail)
    done = cli("recipes")
    assert (done.code, drives(done.err)) == (2, [])
    assert distilkit.cli.plain(NASTY) in done.err


def test_headings_and_tables() -> None:
    made = Plan("name", {"name": NASTY, "counts": {"passages": 1}, "notes": [NASTY]}, [], {NASTY: {
        "queries": 1, "depth": 2, "measures": NASTY}}, {})  # fmt: skip
    assert not drives(made.to_text())
    assert "\u202e" not in made.to_text()
    assert not drives(table([NASTY], [[NASTY]]))


def test_the_log_and_the_screen_of_a_run(tmp_path: Path) -> None:
    screen = io.StringIO()
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, console=Console(file=screen, force_terminal=True, color_system=None, width=200))
    reporter.say(f"{NASTY}\n2026-11-28 07:00:00 forged")
    with reporter.live(), reporter.phase(NASTY, 2) as phase:
        phase.reach(2)
    assert folder.log.read_text().count("\n") == 2  # a line each
    assert not drives(folder.log.read_text())
    assert "\x1b[2J" not in screen.getvalue()
    assert "\x07" not in screen.getvalue()


@given(st.text())
def test_a_cell_reads_back_and_is_no_formula(text: str) -> None:
    assert csv_text(csv_cell(text)) == text
    assert csv_cell(text)[:1] not in ("=", "+", "-", "@", "\t", "\r")


def test_ids_of_queries_that_look_like_formulas(tmp_path: Path) -> None:
    values = {"RR@10": {"=HYPERLINK(1)": 0.5, "'=x": 0.25, "'tis": 1.0, "-1": 0.0, "7": 1.0}}
    write_per_query(tmp_path / "per_query.csv", values)
    assert read_per_query(tmp_path / "per_query.csv") == values
    written = (tmp_path / "per_query.csv").read_text().splitlines()
    assert not any(line.startswith(("=", "+", "-", "@")) for line in written)

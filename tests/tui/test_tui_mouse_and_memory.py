"""What the mouse reaches, and what is remembered from one start to the next."""

import asyncio
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import TabbedContent
from tui_driving import app_of, drive, says, shows, text, until

from distilkit_tui.app import DistilkitApp
from distilkit_tui.core.preferences import Preferences, read
from distilkit_tui.screens.base import TopBar


async def click(pilot: Pilot[Any], word: str) -> None:
    """Click on a word of the bar on top."""
    place = text(app_of(pilot)).splitlines()[0].index(word)
    await pilot.click(TopBar, offset=(place + 1, 0))


def test_the_bar_on_top_tabs_back_and_help_work_by_mouse(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await click(pilot, "2 Run ")
        await shows(pilot, "[2 Run]", "‹ back")
        await pilot.click("#--content-tab-alerts")
        await until(pilot, lambda: app.screen.query_one(TabbedContent).active == "alerts")
        await click(pilot, "‹ back")
        await shows(pilot, "[1 Runs]")
        await click(pilot, "? help")
        await shows(pilot, "open the run")
        await pilot.click(offset=(1, 20))  # beside the box
        assert "open the run" not in await shows(pilot, "[1 Runs]")
        for word, title in (("3 Launch", "[3 Launch]"), ("4 Compare", "[4 Compare]"), ("1 Runs", "[1 Runs]")):
            await click(pilot, word)
            await shows(pilot, title)

    drive(recorded, steps)


def start(runs: Path, keep: Path, *keys: str) -> str:
    """Start the application with a file of preferences, press keys, and return what is shown then."""
    seen: list[str] = []

    async def run() -> None:
        app = DistilkitApp(runs, keep)
        async with app.run_test(size=(120, 34)) as pilot:
            await until(pilot, lambda: app.snapshot.version > 0)
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
            await until(pilot, lambda: read(keep) == app.preferences)
            seen.append(f"{app.theme}\n{text(app)}")

    asyncio.run(run())
    return seen[0]


def test_theme_columns_and_sort_are_remembered(recorded: Path, tmp_path: Path) -> None:
    keep = tmp_path / "config" / "distilkit" / "tui.json"
    start(recorded, keep, "ctrl+t", "o", "O", "v", "down", "down", "space", "escape")
    assert read(keep) == Preferences("distilkit-light", "name", True, ("student",))
    shown = start(recorded, keep)
    assert shown.startswith("distilkit-light")
    assert "run▼" in shown
    assert "strategy" in shown
    assert "student" not in shown.splitlines()[1]
    assert not list(recorded.rglob("tui.json"))


def test_preferences_that_cannot_be_read_or_are_not_known_are_as_at_first(recorded: Path, tmp_path: Path) -> None:
    keep = tmp_path / "tui.json"
    for said in ("", "[]", '{"theme": 3, "order": ["x"], "hidden": "name"}'):
        keep.write_text(said)
        assert read(keep) == Preferences()
    keep.write_text('{"theme": "gone", "order": "gone", "hidden": ["name", "mark", "rate"]}')
    shown = start(recorded, keep)
    assert shown.startswith("distilkit-dark")
    assert "sorted by start" in shown
    assert "distilled" in shown
    assert " rate" not in shown.splitlines()[1]


def test_a_folder_that_cannot_be_written_is_said(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def steps(pilot: Pilot[Any]) -> None:
        app_of(pilot)._keep = tmp_path / "file" / "tui.json"
        await pilot.press("o")
        await says(pilot, "tui.json cannot be written")

    drive(recorded, steps)

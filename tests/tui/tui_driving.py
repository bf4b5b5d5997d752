"""The application driven by tests: keys go in, the text on the screen comes out."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from difflib import unified_diff
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from distilkit_tui.app import DistilkitApp

# The processes of the tests of runs: distilkit as a shell starts it, without the seconds of its imports.
sys.path.append(str(Path(__file__).parents[1]))

RECORDED = Path(__file__).parent / "recorded"
GOLDENS = Path(__file__).parent / "goldens"
SECONDS = 500.0
# How long a screen that is not the golden one has to stay as it is before it counts as what is shown.
STILL = 20.0

Steps = Callable[[Pilot[Any]], Awaitable[None]]


def text(app: DistilkitApp) -> str:
    """Return what is on the screen."""
    lines = ("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
    return "\n".join(line.rstrip() for line in lines) + "\n"


def drive(runs_dir: Path, steps: Steps, size: tuple[int, int] = (120, 34)) -> None:
    """Run the application on a folder of runs while `steps` press its keys."""

    async def run() -> None:
        app = DistilkitApp(runs_dir)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.snapshot.version > 0)
            await pilot.pause()
            await steps(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[Any], condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until a condition holds; what is on the screen is said where it never does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s:\n{text(app_of(pilot))}")
        await pilot.pause(0.02)
    return found


async def shows(pilot: Pilot[Any], *parts: str) -> str:
    """Wait until all of some texts are on the screen; return what is there."""
    app = app_of(pilot)
    await until(pilot, lambda: all(part in text(app) for part in parts))
    return text(app)


async def says(pilot: Pilot[Any], part: str) -> None:
    """Wait until the application has said something in a corner of the screen, where it may be broken into lines."""
    app = app_of(pilot)
    await until(pilot, lambda: any(part in note.message for note in app._notifications))


async def check(pilot: Pilot[Any], name: str) -> None:
    """Hold the screen against its golden text, which it may reach a moment late: scroll bars come behind the rest."""
    path, app = GOLDENS / f"{name}.txt", app_of(pilot)
    if os.environ.get("DISTILKIT_GOLDENS") == "write":
        await pilot.pause(1)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text(app))
    golden = path.read_text()
    shown, since = text(app), time.monotonic()
    while shown != golden and time.monotonic() - since < STILL:
        await pilot.pause(0.02)
        if (now := text(app)) != shown:
            shown, since = now, time.monotonic()
    assert shown == golden, "\n".join(unified_diff(golden.splitlines(), shown.splitlines(), lineterm=""))


async def open_tab(pilot: Pilot[Any], name: str, *parts: str) -> None:
    """Open a tab of a run's details, again where the focus of another one takes it back, until it shows some texts."""
    app = app_of(pilot)

    def shown() -> bool:
        app.screen.query_one("#details").active = name  # type: ignore[attr-defined]
        return all(part in text(app) for part in parts)

    await until(pilot, shown)


def app_of(pilot: Pilot[Any]) -> DistilkitApp:
    """Return the application."""
    assert isinstance(pilot.app, DistilkitApp)
    return pilot.app


def copy_recorded(runs_dir: Path) -> Path:
    """Copy the recorded runs: `distilled` and its twin, done, and `seeds/stopped`."""
    shutil.copytree(RECORDED, runs_dir)
    return runs_dir

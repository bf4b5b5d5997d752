"""Makes docs/tui-dark.svg and docs/tui-light.svg: the answer of a comparison, above a run that goes on meanwhile.

distilkit run margin_mse_table3 &
python docs/tui.py --runs-dir runs --live margin_mse_table3/RUN simplified_tinybert another_run --baseline teacher
"""

import argparse
import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from distilkit_tui.app import DistilkitApp
from distilkit_tui.screens.compare import CompareScreen
from distilkit_tui.themes import DARK, LIGHT

COLUMNS = 120
LINES = {"answer": 15, "live": 26}
"""Lines of the screens, of the answer without those of its systems."""
THEMES = {"dark": DARK.name, "light": LIGHT.name}
SECONDS = 120
GAP = 12.0


async def wait(pilot: Pilot[Any], condition: Callable[[], object], otherwise: str) -> None:
    """Wait until a condition holds."""
    for _ in range(10 * SECONDS):
        await pilot.pause(0.1)
        if condition():
            return
    raise SystemExit(f"{otherwise} within {SECONDS} seconds")


async def picture(runs_dir: Path, theme: str, runs: list[str], baselines: list[str], live: bool) -> str:
    """Return a screen as SVG: the answer of a comparison, or the first run as it goes on."""
    app = DistilkitApp(runs_dir)
    app.theme = theme
    lines = LINES["live"] if live else LINES["answer"] + len(runs)
    async with app.run_test(size=(COLUMNS, lines)) as pilot:
        await wait(pilot, lambda: app.snapshot.entries, f"no run is found in {runs_dir}")
        known = app.snapshot.entries
        if missing := [run for run in [*runs, *baselines] if run not in known]:
            raise SystemExit(f"{runs_dir} has no run {missing[0]!r}; there are {', '.join(known)}")
        if not live:
            app.marks, app.baselines = list(dict.fromkeys([*runs, *baselines])), baselines
            await pilot.press("4")

            def compared() -> bool:
                screen = app.screen_stack[0]
                return isinstance(screen, CompareScreen) and screen.result is not None

            await wait(pilot, compared, "nothing is compared")
        else:
            if not known[runs[0]].live:
                raise SystemExit(f"{runs[0]} is {known[runs[0]].state}; expected a run that goes on")
            app.current = runs[0]
            await pilot.press("2")
        await pilot.pause(3)
        return app.export_screenshot(title=f"distilkit tui --runs-dir {runs_dir.name}")


def stacked(pictures: list[str]) -> str:
    """Return pictures one below the other as one."""
    parts, height, width = [], 0.0, 0.0
    for one in pictures:
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', one)
        assert found is not None
        own = float(found[1]), float(found[2])
        parts.append(one.replace("<svg ", f'<svg y="{height:g}" width="{own[0]:g}" height="{own[1]:g}" ', 1))
        height, width = height + own[1] + GAP, max(width, own[0])
    box = f'viewBox="0 0 {width:g} {height - GAP:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n{"".join(parts)}</svg>\n'


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description="Make pictures of the terminal interface.")
    parser.add_argument("runs", nargs="+", help="runs to compare")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--baseline", action="append", default=[], help="a run; the teacher by default")
    parser.add_argument("--live", help="a run that goes on, for the lower half")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="the folder to write to")
    given = parser.parse_args()
    for name, theme in THEMES.items():
        made = [asyncio.run(picture(given.runs_dir, theme, given.runs, given.baseline, live=False))]
        if given.live:
            made.append(asyncio.run(picture(given.runs_dir, theme, [given.live], [], live=True)))
        path = given.output / f"tui-{name}.svg"
        path.write_text(stacked(made), encoding="utf-8")
        print(f"{path}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()

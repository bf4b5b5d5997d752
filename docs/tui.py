"""Makes docs/tui.svg: the comparison screen of `distilkit tui`, on runs that are there.

python docs/tui.py --runs-dir runs simplified_tinybert another_run --baseline another_run
"""

import argparse
import asyncio
from pathlib import Path

from distilkit_tui.app import DistilkitApp
from distilkit_tui.screens.compare import CompareScreen

SIZE = (120, 34)
SECONDS = 120


async def picture(runs_dir: Path, runs: list[str], baselines: list[str], keys: list[str]) -> str:
    """Return the screen as SVG, after the runs were marked and the keys pressed."""
    app = DistilkitApp(runs_dir)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(10 * SECONDS):
            await pilot.pause(0.1)
            screen = app.screen_stack[0]
            known = app.snapshot.entries
            if missing := [run for run in [*runs, *baselines] if known and run not in known]:
                raise SystemExit(f"{runs_dir} has no run {missing[0]!r}; there are {', '.join(known)}")
            if known and not isinstance(screen, CompareScreen):
                app.marks, app.baselines = list(dict.fromkeys([*runs, *baselines])), baselines
                await pilot.press("4")
            elif isinstance(screen, CompareScreen) and screen.result is not None:
                await pilot.press(*keys)
                await pilot.pause(1)
                return app.export_screenshot(title=f"distilkit tui --runs-dir {runs_dir}")
    raise SystemExit(f"nothing to compare within {SECONDS} seconds")


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description="Make a picture of the comparison screen.")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--runs-dir", type=Path, default=Path("runs"))
    parser.add_argument("--baseline", action="append", default=[], help="a run; the teacher by default")
    parser.add_argument("--keys", default="", help="keys to press then, separated by blanks")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".svg"))
    given = parser.parse_args()
    svg = asyncio.run(picture(given.runs_dir, given.runs, given.baseline, given.keys.split()))
    given.output.write_text(svg, encoding="utf-8")
    print(f"{given.output}: {len(svg) // 1024} KiB")


if __name__ == "__main__":
    main()

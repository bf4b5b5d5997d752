"""The screens as text, in three sizes, on recorded runs; `DISTILKIT_GOLDENS=write` writes them anew."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_driving import app_of, check, drive, open_tab, shows, until

SIZES = [(80, 24), (120, 34), (170, 45)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_screens(recorded: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.chdir(recorded.parent)
    name = f"{size[0]}x{size[1]}"

    async def steps(pilot: Pilot[Any]) -> None:
        await shows(pilot, "─ distil", "•", "q quit")
        await check(pilot, f"runs-{name}")
        await pilot.press("down", "down", "space", "up", "b")
        await shows(pilot, "2 marked, 1 as baseline", "a dist", "b distilled", "q quit")
        await check(pilot, f"runs-marked-{name}")
        await pilot.press("down", "enter")
        await shows(pilot, "✓ done  ● distilled", "examples/s  ─", "q quit")
        if size[0] > 100:
            await shows(pilot, "re-rank test: 80/80")
        await check(pilot, f"run-{name}")
        await pilot.press("1")
        await shows(pilot, "[1 Runs]", "q quit")
        await pilot.press("slash", *"state:stopped", "enter")
        await shows(pilot, "filter state:stopped")
        await pilot.press("question_mark")
        await shows(pilot, "open the run")
        await check(pilot, f"help-{name}")

    drive(Path("runs"), steps, size)


def test_the_lists_of_a_run(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        await shows(
            pilot, "■ stopped  seeds/stopped", "Press r to continue from its last checkpoint, near step 818 of 3200."
        )
        for tab, *parts in [
            ("configuration", "train.num_train_epochs", "400.0", "--set"),
            ("results", "test · bm25", "nDCG@10 0.8452"),
            ("checkpoints", "distil, step 818"),
            ("alerts", "Alerts (1)", "it was stopped on request. Press r to continue"),
        ]:
            await open_tab(pilot, tab, *parts)

    drive(recorded, steps, (170, 90))


def test_curves_can_be_looked_at_otherwise(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        await shows(pilot, "loss · distil  a loss", "validation nDCG@10")
        await pilot.press("s", "m", "t")
        await shows(pilot, "loss · distil · ema 10", "validation RR@10", "time")
        await pilot.press("g", "y")
        await shows(pilot, "loss · teacher: fine_tune")
        await pilot.press("m")
        await shows(pilot, "training positive_score")
        await pilot.press("z")
        assert "Configuration" not in await shows(pilot, "examples/s")
        await pilot.press("z")
        assert "examples/s" not in await shows(pilot, "Configuration")
        await pilot.press("right_square_bracket")
        await shows(pilot, "✓ done  distilled")
        await pilot.press("escape")
        await shows(pilot, "[1 Runs]")

    drive(recorded, steps)


def test_the_log_follows_until_one_scrolls_up(recorded: Path) -> None:
    log = recorded / "distilled" / "log.txt"

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        app.current = "distilled"
        await pilot.press("2")
        await shows(pilot, "re-rank test: 80/80")
        with log.open("a") as file:
            file.write("the last line\n")
        await shows(pilot, "the last line")
        await pilot.press("k", "k", "k")
        with log.open("a") as file:
            file.write("one more [bold]\x1b[2J\nand another\nand torn")
        assert "one more" not in await shows(pilot, "2 new lines: press f to follow")
        await pilot.press("f")
        shown = await shows(pilot, "one more [bold]\\x1b[2J", "and another")
        assert "torn" not in shown
        assert "new lines" not in shown

    drive(recorded, steps)


def test_filter_sort_and_marks(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("slash", *"state:done")
        shown = await shows(pilot, "2 of 3", "filter state:done")
        assert "seeds/stopped" not in shown
        await pilot.press(*" (a")
        await shows(pilot, "3 of 3", "filter: a bracket is not closed")
        await pilot.press("enter", "escape")
        await shows(pilot, "3 runs")
        await pilot.press("o", "O")
        assert "seeds/stopped" in (await shows(pilot, "sorted by name, reversed", "run▼")).splitlines()[2]
        await pilot.press("b", "u")
        assert "marked" not in await shows(pilot, "3 runs")
        await pilot.press("slash", *"sate:done")
        await shows(pilot, "0 of 3", "no run has a field 'sate'; did you mean 'state'?")

    drive(recorded, steps)


def test_themes_and_the_palette(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await pilot.press("ctrl+t")
        assert app.theme == "distilkit-light"
        await pilot.press("ctrl+p")
        await pilot.press(*"mark, to compare")
        await shows(pilot, "key space")
        await pilot.press("enter")
        await until(pilot, lambda: app.marks == ["seeds/stopped"])
        await pilot.press("p")
        await shows(pilot, "paused")

    drive(recorded, steps)


def test_no_colour_is_needed(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        assert app.no_color
        await pilot.press("space", "up", "b")
        await shows(pilot, "◆  seeds/stopped", "■ stopped", "✓ done")
        await pilot.press("enter")
        await shows(pilot, "✓ teacher: fine_tune  ■ student: distil  ○ evaluation", "a loss", "b hard")
        drawn = [style for strip in app.screen._compositor.render_strips() for _, style, _ in strip if style]
        grey = {style.color.triplet for style in (app.console.get_style(one) for one in drawn) if style.color}
        assert grey

    drive(recorded, steps)


def test_marked_runs_keep_colours_of_their_own(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        assert app.colours(["distilled"]) == {"distilled": 0}
        assert app.colours(["seeds/stopped", "distilled"]) == {"seeds/stopped": 0, "distilled": 1}
        app.marks = ["distilled", "seeds/stopped"]
        assert list(app.colours([*app.marks, "distilled-label_only"]).values()) == [0, 1, 2]
        app.marks = ["seeds/stopped"]
        assert app.colours(["distilled", "seeds/stopped"]) == {"distilled": 0, "seeds/stopped": 1}

    drive(recorded, steps)

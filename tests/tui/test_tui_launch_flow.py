"""From a recipe to its comparison without leaving the application, on real processes."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input
from tui_driving import app_of, check, drive, shows, text, until

from distilkit_tui.screens.compare import CompareScreen
from distilkit_tui.screens.launch import LaunchScreen

SIZES = [(80, 24), (120, 34)]


@pytest.fixture
def place(tmp_path: Path, tiny_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder, which is the current one, with the tiny recipe in it."""
    shutil.copy(tiny_recipe, tmp_path / "tiny.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def launch(pilot: Pilot[Any], recipe: str = "tiny.toml") -> LaunchScreen:
    """Go to the screen and choose a recipe."""
    await pilot.press("3")
    screen = app_of(pilot).screen_stack[0]
    assert isinstance(screen, LaunchScreen)
    await until(pilot, lambda: recipe in screen.recipes.keys)
    screen.recipes.go_to(recipe)
    await shows(pilot, f"$ distilkit run {recipe}")
    return screen


async def told(pilot: Pilot[Any], part: str) -> None:
    """Wait until something is said in a notice, which is broken into lines on the screen."""
    await until(pilot, lambda: any(part in notice.message for notice in app_of(pilot)._notifications))


async def change(pilot: Pilot[Any], key: str, value: str) -> None:
    """Look for a key and type a value for it."""
    screen = app_of(pilot).screen_stack[0]
    assert isinstance(screen, LaunchScreen)
    screen._go("form")
    screen.form.query_one("#find", Input).value = ""
    await pilot.pause()
    screen.form.table.go_to(key)
    await pilot.press("enter")
    screen.form.query_one("#value", Input).value = value
    await pilot.press("enter")


def test_what_was_changed_of_a_recipe_stays_while_another_is_looked_at(place: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await launch(pilot)
        await change(pilot, "strategy.temperature", "3")
        await shows(pilot, "--set strategy.temperature=3 ")
        screen.recipes.go_to("quickstart")
        await shows(pilot, "$ distilkit run quickstart")
        screen.recipes.go_to("tiny.toml")
        await shows(pilot, "--set strategy.temperature=3 ")

    drive(place / "runs", steps)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("lr", "train.learning_rate"), ("learning rate", "train.learning_rate"),
        ("temperature", "strategy.temperature"), ("peak", "train.learning_rate"),
        ("rerank depth", "evaluate.rerank_depth"),
    ],
)  # fmt: skip
def test_find_lands_on_the_key_that_is_called_so(place: Path, words: str, key: str) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await launch(pilot)
        await pilot.press("slash")
        screen.form.query_one("#find", Input).value = words
        await until(pilot, lambda: screen.form.table.cursor_key == key)

    drive(place / "runs", steps)


@pytest.mark.slow
def test_launch_follow_compare(place: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await launch(pilot)
        await pilot.press("enter", "slash", *"temperature", "enter", "enter", *"hot")
        await shows(pilot, '✗ --set strategy.temperature=hot: [strategy] temperature = "hot": expected')
        await pilot.press("enter")
        assert "● you" not in text(app)
        await pilot.press(*["backspace"] * 3, "2", "enter")
        await shows(pilot, "temperature", "2.0", "● you", "--set strategy.temperature=2 ")
        await pilot.press("d")
        shown = await shows(pilot, "42 steps to train · no past run like it", "free on the disk", "tiny: 40 passages")
        assert shown.count("○ no") == 3
        await pilot.press("S")
        await shows(pilot, "[2 Run]", "simplified_tinybert(temperature=2.0)")
        await until(pilot, lambda: "tiny" in app.snapshot.entries and app.snapshot.entries["tiny"].state == "done")
        await shows(pilot, "✓ done  tiny", "finished")
        await until(pilot, lambda: not list((place / "runs" / ".launch").glob("*")))  # what it said while it ran
        await pilot.press("4")
        await shows(pilot, "the latest finished run: tiny", "◆ teacher", "tiny · label-only", "difference to teacher:")
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        assert screen.result is not None
        assert screen.result.family == 6
        await pilot.press("3")
        await shows(pilot, "--name=tiny-2")
        await change(pilot, "seed", "2")
        await pilot.press("Y")
        assert "--name=tiny-2" in app.clipboard
        assert app.clipboard.startswith("distilkit run tiny.toml")
        await pilot.press("d")
        shown = await shows(pilot, "32 steps to train · about", "at the speed of past runs")
        assert (shown.count("✓ yes"), shown.count("○ no")) == (1, 2)

    drive(Path("runs"), steps)


def test_a_start_that_is_refused_and_a_dry_run_that_one_does_not_wait_for(place: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        screen = await launch(pilot)
        await change(pilot, "data.path", "nowhere")
        await pilot.press("S")
        await shows(pilot, "started tiny; waiting for it")
        await told(pilot, "nowhere")
        await until(pilot, lambda: screen._started is None)
        await pilot.press("u")
        assert "nowhere" not in screen._draft.command(Path("runs"))  # type: ignore[union-attr]
        (place / "runs" / "tiny").mkdir()
        await pilot.press("S")
        await told(pilot, "exists; give the run another name")
        assert not app.launcher._children
        await pilot.press("d")
        await until(pilot, lambda: screen._run)

    drive(Path("runs"), steps)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_form_as_text(place: Path, size: tuple[int, int]) -> None:
    (place / "hostile [bold]x.toml").write_text('name = "torn')

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await launch(pilot)
        # The shipped recipes grow in number; the picture is of what lies here.
        own = [key for key in screen.recipes.keys if key.endswith(".toml")]
        screen.recipes.show(own, screen._cells)
        screen.recipes.go_to("tiny.toml")
        await pilot.press("enter", "slash", *"strategy", "enter")
        screen.form.table.go_to("strategy.temperature")
        await pilot.press("enter", "2")
        await shows(pilot, "temperature", "✓ enter accepts it")
        # The filter may have left the list a row lower, with the same row under the cursor.
        screen.form.table.scroll_to(y=0, animate=False, immediate=True)
        await check(pilot, f"launch-{size[0]}x{size[1]}")
        await pilot.press("escape", "escape")
        screen.recipes.go_to(own[-1])
        await shows(pilot, "[bold]x.toml: not valid TOML")
        await pilot.press("enter", "d", "S", "escape", "escape", "escape")
        await shows(pilot, "[1 Runs]")

    drive(Path("runs"), steps, size)


def test_choices_by_key_and_by_list(place: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await launch(pilot)
        screen._go("form")
        screen.form.table.go_to("train.bf16")
        await pilot.press("right")
        await shows(pilot, "--set train.bf16=auto")
        await pilot.press("left")
        await shows(pilot, "--set train.bf16=false")
        await pilot.press("delete")
        assert "train.bf16" not in await shows(pilot, "$ distilkit run tiny.toml --runs-dir")
        screen.form.table.go_to("train.fp16")
        await pilot.press("enter")
        await shows(pilot, "--set train.fp16=true")
        screen.form.table.go_to("train.bf16")
        await pilot.press("right", "right")
        await told(pilot, "fp16 and bf16 are both on; expected one of them")
        await pilot.press("u")
        screen.form.table.go_to("strategy.name")
        await pilot.press("enter")
        await shows(pilot, "standard_kd", "Understanding BERT Rankers")
        await pilot.press("escape", "enter", "up", "up", "enter")
        await until(pilot, lambda: "strategy.name" in screen._draft.overrides)  # type: ignore[union-attr]
        await pilot.press("tab", "tab", "shift+tab", "shift+tab")
        assert screen.form.table.has_focus

    drive(Path("runs"), steps)

"""The comparison screen driven by keys, on recorded results; `DISTILKIT_GOLDENS=write` writes its pictures anew."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import HOSTILE, change, results
from textual.pilot import Pilot
from textual.widgets import Input, Static, TabbedContent
from tui_driving import app_of, check, drive, shows, text, until

from distilkit.comparison.render import formats
from distilkit.data.sources import BeirSource
from distilkit_tui.screens.compare import CompareScreen
from distilkit_tui.screens.compare_means import MeansPane
from distilkit_tui.screens.compare_queries import QueriesPane, Rankings

SIZES = [(80, 24), (120, 34)]


@pytest.fixture
def runs(tmp_path: Path, tiny_beir: Path) -> Path:
    return results(tmp_path / "runs", tiny_beir)


def screen_of(pilot: Pilot[Any]) -> CompareScreen:
    screen = app_of(pilot).screen_stack[0]
    assert isinstance(screen, CompareScreen)
    return screen


async def compare(pilot: Pilot[Any], *marks: str, tab: str = "means") -> CompareScreen:
    """Mark runs and go to a tab of the comparison."""
    app = app_of(pilot)
    app.marks = list(marks)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen_stack[0], CompareScreen) and screen_of(pilot).result)
    screen = screen_of(pilot)

    def there() -> bool:
        # The tab that a screen begins with may become active after it was asked for another.
        screen.query_one(TabbedContent).active = tab
        return screen.tab == tab and screen.pane.table.has_focus

    await until(pilot, there)
    await pilot.pause(0.2)
    await until(pilot, there)
    return screen


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_tabs(runs: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.chdir(runs.parent)
    name = f"{size[0]}x{size[1]}"

    async def steps(pilot: Pilot[Any]) -> None:
        app_of(pilot).animation_level = "none"  # the line below the tabs slides otherwise
        await compare(pilot, "one_layer", "distilled")
        await shows(pilot, "nDCG@10", "one_layer against teacher")
        screen_of(pilot).query_one(TabbedContent).active = "answer"
        await shows(pilot, "Best: ", "verdict")
        await check(pilot, f"compare-answer-{name}")
        screen_of(pilot).query_one(TabbedContent).active = "means"
        # The words below are those of the renderers, whose tests they have: the tables alone are held here.
        screen_of(pilot).query_one("#verdicts", Static).display = False
        await pilot.pause()
        await check(pilot, f"compare-means-{name}")
        screen_of(pilot).query_one(TabbedContent).active = "budget"
        await shows(pilot, "labelled queries", "2,015", "ceiling", "chance")
        await check(pilot, f"compare-budget-{name}")
        screen_of(pilot).query_one(TabbedContent).active = "means"
        await pilot.pause()
        await pilot.press("m", "enter")
        await shows(pilot, "what planet cold", "nDCG@10")
        await check(pilot, f"compare-queries-{name}")
        await pilot.press("enter")
        await shows(pilot, "1 of 8", "esc back", "● relevant 1  d30")
        await check(pilot, f"compare-rankings-{name}")
        await pilot.press("escape", "right_square_bracket", "t")
        await shows(pilot, "MACs", "on the frontier")
        await check(pilot, f"compare-frontier-{name}")
        await pilot.press("right_square_bracket")
        await shows(pilot, "a distilled", "b one_layer", "validation nDCG@10")
        await check(pilot, f"compare-curves-{name}")
        await pilot.press("right_square_bracket")
        await shows(pilot, "student.shape")
        await check(pilot, f"compare-configuration-{name}")

    drive(Path("runs"), steps, size)


def test_marks_baselines_margin_test_and_correction(runs: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await pilot.press("space", "down", "b", "c")  # one_layer, and distilled as the baseline
        await shows(pilot, "2 runs · against distilled", "Holm over 8", "margin 3 % relative", "◆ distilled")
        screen = screen_of(pilot)
        screen.query_one(TabbedContent).active = "means"
        assert screen.result is not None
        family = screen.result.family
        await pilot.press("plus")
        await shows(pilot, "margin 4 % relative", "non-inferior (4 %)")
        await pilot.press("percent_sign")
        await shows(pilot, "margin 0.04 absolute")
        await pilot.press("C")
        await shows(pilot, f"not corrected over {family}", f"p of {family} comparisons, not corrected")
        await pilot.press("T")
        await shows(pilot, "Wilcoxon signed-rank test")
        await pilot.press("E")
        await shows(pilot, "equivalence too", "equivalent (±0.04)")
        await pilot.press("A")
        await shows(pilot, "all pairs")
        assert screen.result is not None
        assert screen.result.family > family
        await pilot.press("A")
        await shows(pilot, "against distilled ·")
        table = screen.query_one(MeansPane).table
        table.go_to("teacher")
        await pilot.press("b")
        await shows(pilot, "against distilled, teacher", "◆ teacher")
        await pilot.press("a")
        await shows(pilot, "RR@10 against teacher")
        await pilot.press("b")
        await shows(pilot, "RR@10 against distilled")
        await pilot.press("Y")
        await until(pilot, lambda: "--test wilcoxon" in app.clipboard)
        assert "--baseline distilled --test wilcoxon --correction none --non-inferiority 0.04" in app.clipboard

    drive(runs, steps, (150, 40))


def test_without_marks_the_latest_run_and_without_results_a_sentence(runs: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await compare(pilot)
        await shows(pilot, "nothing is marked; the latest finished run: one_layer")
        for run in ("distilled", "one_layer"):
            shutil.rmtree(runs / run / "eval")
        app.marks = ["one_layer"]
        screen_of(pilot).runs_changed(app.snapshot)
        await shows(pilot, "✗ no marked run has results yet", "mark runs with space")
        await pilot.press("e", "Y", "m", "n", "a", "b", "plus", "enter", "right_square_bracket", "n", "enter")
        await pilot.press("escape", "escape")
        await shows(pilot, "[1 Runs]")

    drive(runs, steps)


def test_damaged_results_and_different_queries_are_said(runs: Path) -> None:
    table = runs / "one_layer" / "eval" / "test" / "per_query.csv"
    lines = table.read_text().splitlines(keepends=True)

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        table.write_text("".join(lines[:3]) + "q28,much,1.0\n")
        app.marks = ["distilled", "one_layer"]
        await pilot.press("4")
        await shows(pilot, "per_query.csv:4", "finite numbers")
        table.write_text("".join(lines[:-2]))
        screen_of(pilot)._asked = None  # what changed is not a measure, by which the screen would know
        screen_of(pilot).runs_changed(app.snapshot)
        await shows(pilot, "were judged on different queries")
        table.write_text("".join(lines))
        app.marks = ["one_layer", "distilled"]
        screen_of(pilot).runs_changed(app.snapshot)
        await shows(pilot, "2 runs", "one_layer")

    drive(runs, steps)


def test_the_two_rankings_of_each_query(runs: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        screen = await compare(pilot, "one_layer", "distilled")
        screen.query_one(MeansPane).table.go_to("bm25")
        await pilot.press("enter")
        await shows(pilot, "BM25 − teacher", "8 won ▲, 0 tied =, 0 lost ▼ of 8")
        await pilot.press("n")
        await shows(pilot, "one_layer − teacher")
        await pilot.press("N")
        await shows(pilot, "BM25 − teacher")
        table = screen.query_one(QueriesPane).table
        table.focus()
        table.go_to("q26")
        await pilot.press("enter")
        shown = await shows(pilot, "q26  what planet cold", "● relevant 1  d26", "the deep planet of cold planet")
        assert "in the other" in shown
        await pilot.press("tab")
        assert isinstance(app.screen, Rankings)
        number = 1 if app.screen._table(1).has_focus else 0
        assert (number, app.screen._table(1).cursor_key) == (1, "d26")
        before = text(app).splitlines()[0]
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: text(app).splitlines()[0] != before)
        (runs / "one_layer" / "eval" / "test" / "references" / "bm25" / "run.trec").write_text("no run\n")
        await pilot.press("right_square_bracket")
        await shows(pilot, "expected six fields")
        await pilot.press("escape", "escape")
        await shows(pilot, "difference to teacher:")

    drive(runs, steps)


def test_export_in_every_format(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.chdir(folder)

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await compare(pilot, "one_layer", "distilled")
        for number in range(len(list(formats))):
            await pilot.press("e")
            await shows(pilot, "Write the comparison as")
            await pilot.press(*["down"] * number, "enter")
            await until(pilot, lambda: app_of(pilot).screen is screen)
        await pilot.press("e", "enter")
        await shows(pilot, "exists; enter again replaces it")
        (folder / "comparison.md").write_text("mine")
        await pilot.press("enter")
        await until(pilot, lambda: (folder / "comparison.md").read_text() != "mine")
        await pilot.press("e", "tab")
        app_of(pilot).screen.query_one(Input).value = "/proc/no/x.md"
        await pilot.press("enter")
        await shows(pilot, "cannot be written")
        await pilot.press("escape")

    drive(runs, steps)
    written = {path.name.removeprefix("comparison"): path.read_text() for path in folder.iterdir()}
    assert {".md", ".tex", ".json", ".csv", ".txt"} <= written.keys()
    assert all(path.suffix.removeprefix(".") for path in folder.iterdir())
    assert len(written) == len(list(formats))
    assert json.loads(written[".json"])["family"] == 8
    assert "| teacher |" in written[".md"]
    assert r"\begin{table*}" in (folder / "comparison.tex").read_text()
    assert r"\begin{longtable}" in (folder / "comparison.long.tex").read_text()


def test_hostile_names_queries_and_passages(runs: Path, tmp_path: Path, tiny_beir: Path) -> None:
    copy = shutil.copytree(tiny_beir, tmp_path / "hostile")
    for name, key in (("queries.jsonl", "q26"), ("corpus.jsonl", "d26")):
        rows = [json.loads(line) for line in (copy / name).read_text().splitlines()]
        rows = [{**row, "text": HOSTILE} if row["_id"] == key else row for row in rows]
        (copy / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = runs / ".artifacts" / "collection" / "0123" / "content"
    shutil.rmtree(content)
    content.mkdir()
    BeirSource(copy).write(content)
    stated = json.loads((content / "manifest.json").read_text())["fingerprint"]
    for run in ("distilled", "distilled-label_only", "one_layer"):
        data = json.loads((runs / run / "run.json").read_text())["data"]
        change(runs / run / "run.json", data={**data, "fingerprint": stated})
    change(runs / "one_layer" / "run.json", name=HOSTILE)
    seen: list[str] = []

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await compare(pilot, "one_layer", "distilled")
        await shows(pilot, "[bold red]x[/]", "\\x1b[31mre")
        seen.append(text(app))
        screen_of(pilot).query_one(MeansPane).table.go_to(HOSTILE)
        await pilot.press("enter")
        await shows(pilot, "[bold red]x[/] \\x1b[31mred\\x07 \\u202etfel")
        seen.append(text(app))
        table = screen_of(pilot).query_one(QueriesPane).table
        table.focus()
        table.go_to("q26")
        await pilot.press("enter")
        await shows(pilot, "q26  [bold red]x[/]")
        assert isinstance(app.screen, Rankings)
        app.screen._table(0).go_to("d26")
        await shows(pilot, "● relevant 1  d26")
        seen.append(text(app))
        await pilot.press("escape")
        for tab in ("frontier", "curves", "configuration"):
            await pilot.press("right_square_bracket")
            await until(pilot, lambda tab=tab: screen_of(pilot).tab == tab)
            await pilot.pause()
            seen.append(text(app))
        await pilot.press("Y", "e")
        await shows(pilot, "Write the comparison as")

    drive(runs, steps)
    for shown in seen:
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)
        assert all(len(line) <= 120 for line in shown.splitlines())


def test_no_colour_is_needed(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def steps(pilot: Pilot[Any]) -> None:
        await compare(pilot, "one_layer", "distilled")
        await shows(pilot, "▲ BM25", "? one_layer", "✓ yes", "✗ no", "◆ teacher")
        await pilot.press(
            "right_square_bracket", "right_square_bracket", "n"
        )  # the system after the best, which loses queries, too
        await shows(pilot, "▌ won", "▌ lost", "▲ q", "▼ q")
        await pilot.press("right_square_bracket")
        await shows(pilot, "○ dominated", "● on the frontier")

    drive(runs, steps)


def test_results_that_come_while_one_looks(runs: Path, tmp_path: Path) -> None:
    put_away = tmp_path / "eval"
    (runs / "one_layer" / "eval").rename(put_away)

    async def steps(pilot: Pilot[Any]) -> None:
        screen = await compare(pilot, "distilled", "one_layer")
        await shows(pilot, "no results yet: one_layer")
        assert screen.result is not None
        assert "one_layer" not in screen.result.names
        app_of(pilot).toggle_baseline("one_layer")
        said = "no results of the baseline one_layer, so against teacher"
        await until(pilot, lambda: said in " ".join(text(app_of(pilot)).split()))
        put_away.rename(runs / "one_layer" / "eval")
        await until(pilot, lambda: screen.result is not None and "one_layer" in screen.result.names)
        assert screen.query_one(TabbedContent).active == "means"

    drive(runs, steps)


def test_the_answer_follows_a_margin_that_is_typed(runs: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        screen = await compare(pilot, "one_layer", "distilled", tab="answer")
        await shows(pilot, "Take: ", "difference to teacher:", "◆ teacher")
        await pilot.press("M")
        await shows(pilot, "Margin of non-inferiority")
        await pilot.press(*["backspace"] * 5, *"much", "enter")
        await shows(pilot, "expected a margin such as 3 %")
        await pilot.press(*["backspace"] * 5, *"95%", "enter")
        await shows(pilot, "margin 95 % relative", "non-inferior (95 %)")
        assert screen.result is not None
        assert screen.result.answer is not None
        assert screen.result.answer.margin == 0.95
        assert screen.result.answer.non_inferior
        await pilot.press("enter")
        await until(pilot, lambda: screen.tab == "queries")
        await pilot.press("escape")
        await until(pilot, lambda: screen.tab == "answer")

    drive(runs, steps)

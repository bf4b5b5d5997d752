"""Suites in the table of runs: a row that opens, short names below it, and what is done with the whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_driving import app_of, copy_recorded, drive, shows, text, until

from distilkit.errors import UserError
from distilkit.run_folders.lock import Lock
from distilkit_tui.core.control import Launcher
from distilkit_tui.core.store import RunStore
from distilkit_tui.core.suites import remove, resume, rows, stop

NAMES = [f"{strategy}-bert_cat_L3_H384-T-seed{seed}" for strategy in ("tinybert", "kd") for seed in (1, 2)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return the recorded runs, `distilled` as the first two of a suite's four runs."""
    folder = copy_recorded(tmp_path / "runs")
    suite = folder / "t"
    suite.mkdir()
    for name in NAMES[:2]:
        (folder / "distilled").rename(suite / name) if name == NAMES[0] else copy(suite / NAMES[0], suite / name)
    table = {
        "name": "t",
        "recipe": {"name": "t", "matrix": {"seeds": [1, 2]}},
        "runs": [{"name": f"t/{n}"} for n in NAMES],
    }
    (suite / "suite.json").write_text(json.dumps(table))
    return folder


def copy(source: Path, target: Path) -> None:
    """Copy a run's folder."""
    import shutil

    shutil.copytree(source, target)


def test_the_table_has_a_row_a_suite_that_opens(runs: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await shows(pilot, "▸ t", "2 of 4", "■ stopped")
        assert "└ tinybert · seed 1" not in text(app)
        table = app.screen.query_one("#runs")
        table.go_to("t/")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await shows(pilot, "▾ t", "└ tinybert · seed 1", "└ kd · seed 2", "· planned")
        await pilot.press("space")
        await until(pilot, lambda: app.marks == [f"t/{name}" for name in NAMES[:2]])
        table.go_to(f"t/{NAMES[3]}")  # type: ignore[attr-defined]
        await pilot.press("enter")
        assert app.screen.key == f"t/{NAMES[3]}"  # type: ignore[attr-defined]
        table.go_to("t/")  # type: ignore[attr-defined]
        await pilot.press("x")
        await until(pilot, lambda: any("nothing to stop" in note.message for note in app._notifications))
        await pilot.press("enter")
        await until(pilot, lambda: "└ tinybert · seed 1" not in text(app))
        await pilot.press("D")
        await shows(pilot, "and its 2 runs?")
        await pilot.press("y")
        await until(pilot, lambda: not (runs / "t").exists())

    drive(runs, steps, (140, 34))


def test_rows_have_a_suite_where_its_first_run_stands(runs: Path) -> None:
    found = RunStore(runs).poll()
    entries = [
        found.entries[key] for key in ("seeds/stopped", f"t/{NAMES[1]}", f"t/{NAMES[0]}", "distilled-label_only")
    ]
    assert rows(entries, found.suites, {}) == ["seeds/stopped", "t/", "distilled-label_only"]
    assert rows(entries, found.suites, {"t/": True})[2:6] == [f"t/{NAMES[place]}" for place in (1, 0, 2, 3)]
    assert found.suites["t/"].progress == "2 of 4"


def test_a_suite_is_resumed_by_its_recipe_and_stopped_with_all_its_runs(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher, asked = Launcher(runs), []
    monkeypatch.setattr(Launcher, "start", lambda self, arguments, label: asked.append((arguments, label)))
    suite = RunStore(runs).poll().suites["t/"]
    resume(suite, launcher)
    ((arguments, label),) = asked
    assert (arguments[2:], label) == (["--resume", "auto", "--runs-dir", str(runs)], "t")
    assert "seeds=[1, 2]" in Path(arguments[1]).read_text()
    with pytest.raises(UserError, match="nothing to stop"):
        stop(suite)
    remove(suite)
    assert not (runs / "t").exists()
    assert (runs / "distilled-label_only").exists()


def test_a_damaged_suite_leaves_its_runs_in_the_table(runs: Path) -> None:
    (runs / "t" / "suite.json").write_text("{")
    found = RunStore(runs).poll()
    assert found.suites["t/"].planned == ()
    assert len(found.suites["t/"].entries) == 2
    lock = Lock(runs / "t" / NAMES[0] / "run.lock")
    assert lock.acquire()
    lock.release()

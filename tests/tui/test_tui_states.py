"""States of runs as the application sees them: real runs, really stopped and killed, and folders gone bad."""

import asyncio
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from tui_driving import app_of, copy_recorded, drive, open_tab, says, shows, text, until

from distilkit.errors import UserError
from distilkit.files import read_json, write_json
from distilkit.run_folders.folder import RunFolder
from distilkit_tui.app import DistilkitApp
from distilkit_tui.core.control import delete, kill, local_pid, memory, request_stop
from distilkit_tui.core.entry import Entry
from distilkit_tui.core.facts import alerts, checkpoints, configuration, results, waiting
from distilkit_tui.core.history import History
from distilkit_tui.core.progress import whole_run
from distilkit_tui.core.store import RunStore, Snapshot
from distilkit_tui.screens.run import LISTS

from cli_processes import Started, run_cli, started, wait_for  # isort: skip

LONG = ["--set", "train.num_train_epochs=5000.0", "--set", "train.eval_steps=40", "--set", "train.logging_steps=2"]


def long_run(recipe: Path, runs_dir: Path, name: str = "tiny") -> list[str]:
    """Return the command line of a run that does not end by itself within a test."""
    return ["run", str(recipe), "--runs-dir", str(runs_dir), "--name", name, *LONG]


def training(runs_dir: Path, process: Started, key: str = "tiny") -> Entry:
    """Wait until a run trains its student; return it as the store sees it."""
    store = RunStore(runs_dir)

    def found() -> Entry | None:
        store.hurry()
        entry = store.poll().entries.get(key)
        inside = entry is not None and entry.loss is not None and entry.status.phase.startswith("student")
        return entry if inside else None

    entry: Entry = wait_for(found, process)
    return entry


def state(runs_dir: Path, key: str = "tiny") -> str:
    return RunStore(runs_dir).poll().entries[key].state


def test_a_run_is_stopped_killed_and_deleted(tiny_recipe: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with started(run_cli, long_run(tiny_recipe, runs), folder=tmp_path / "first") as process:
        entry = training(runs, process)
        assert (entry.state, entry.live, entry.strategy) == ("running", True, "simplified_tinybert")
        assert local_pid(entry) == process.pid
        held = memory(entry)
        assert held is not None
        assert held["most"] >= held["now"] > 2**20
        with pytest.raises(UserError, match="is being worked on"):
            delete(entry.folder)
        request_stop(entry)
        assert process.wait() == 130
    stopped = RunStore(runs).poll().entries["tiny"]
    assert (stopped.state, stopped.live, local_pid(stopped)) == ("stopped", False, None)
    spent = stopped.status.whole["spent_s"]
    assert spent > 0
    with started(run_cli, [*long_run(tiny_recipe, runs), "--resume", "auto"], folder=tmp_path / "second") as process:
        entry = wait_for(lambda: (found := training(runs, process)).live and found, process)
        kill(entry)
        assert process.wait() == -signal.SIGKILL
    assert read_json(entry.folder.status_json)["whole"]["spent_s"] > spent
    # By its lock, which is free at once: silence alone would leave it running.
    write_json(entry.folder.status_json, {**read_json(entry.folder.status_json), "hb_t": time.time()})
    assert state(runs) == "crashed"
    delete(RunFolder(runs / "tiny"))
    assert list(RunStore(runs).poll().entries) == []
    assert [path.name for path in runs.iterdir() if path.name != ".artifacts"] == []


def test_a_silent_run_is_stalled_and_one_elsewhere_lost(recorded: Path) -> None:
    folder = RunFolder(recorded / "distilled")
    write_json(folder.status_json, {**read_json(folder.status_json), "state": "running", "hb_t": time.time() - 3600})
    assert state(recorded, "distilled") == "lost"  # it was another machine's
    write_json(folder.status_json, {**read_json(folder.status_json), "hb_t": time.time()})
    assert state(recorded, "distilled") == "running"
    assert whole_run(RunStore(recorded).poll().entries["distilled"]) is None
    whole = {"share": 0.25, "spent_s": 20.0, "left_s": 60.0}
    write_json(folder.status_json, {**read_json(folder.status_json), "whole": whole})
    assert whole_run(RunStore(recorded).poll().entries["distilled"]) == (0.25, 60.0)


def test_the_store_sees_runs_come_change_and_go(recorded: Path) -> None:
    store = RunStore(recorded)
    first = store.poll()
    assert store.poll().version == first.version
    shutil.copytree(recorded / "distilled", recorded / "another")
    store.hurry()
    second = store.poll()
    assert set(second.entries) == {*first.entries, "another"}
    assert second.entries["distilled"] is first.entries["distilled"]
    status = read_json(recorded / "another" / "status.json")
    write_json(recorded / "another" / "status.json", {**status, "state": "crashed"})
    store.hurry()
    assert store.poll().entries["another"].state == "crashed"
    shutil.rmtree(recorded / "another")
    store.hurry()
    assert set(store.poll().entries) == set(first.entries)
    shutil.rmtree(recorded)
    store.hurry()
    gone = store.poll()
    assert (gone.entries, gone.problem) == (
        {},
        f"press n to start a first run: there is no folder {recorded} yet",
    )
    copy_recorded(recorded)
    store.hurry()
    assert set(store.poll().entries) == set(first.entries)


CORRUPT = {
    "run.json": ["", "{", "[]", "{}", "\x00\x00", '{"name": "x"}', "null"],
    "status.json": ["", "{", "[]", '{"state": 3, "values": 3, "step": "x", "hb_t": {}}', "\ud800", '{"hb_t": null}'],
    "events.jsonl": ["", "{", "[]\n", "\x00" * 1000, '{"step": 1, "t": 1, "kind": "train", "values": {"loss": "x"}}\n'],
    "log.txt": ["", "\x00\x1b[2J\n", "\ud800\n"],
    "eval/test/measures.json": ["", "{", "[]", '{"measures": 3}'],
}


def test_corrupt_files_are_shown_as_what_they_are(recorded: Path) -> None:
    expected = {name: {"done"} for name in CORRUPT}
    expected |= {"run.json": {"damaged"}, "eval/test/measures.json": {"damaged"}, "status.json": {"damaged", "lost"}}
    names = {}
    for name, contents in CORRUPT.items():
        for number, content in enumerate(contents):
            folder = recorded / f"bad-{name.replace('/', '-')}-{number}"
            shutil.copytree(recorded / "distilled", folder)
            (folder / name).write_bytes(content.encode(errors="surrogatepass"))
            names[folder.name] = name

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        for key, name in names.items():
            assert app.snapshot.entries[key].state in expected[name], key
        await pilot.press("2")
        for number, key in enumerate(names):
            app.current = key
            app.tell_screen()
            await open_tab(pilot, ("log", *LISTS)[number % 5], key)
        assert app.snapshot.entries["distilled"].state == "done"

    drive(recorded, steps)
    for key in names:
        entry = RunStore(recorded).poll().entries[key]
        history = History(entry.folder)
        history.read()
        rows = [*configuration(entry), *checkpoints(entry, history), *results(entry), *alerts(entry, history, False)]
        assert all(isinstance(text, str) for row in rows for text in row)
        assert bool(entry.problem) == (entry.state == "damaged")


HOSTILE = ["[red]b[/red]", "\x1b[2J\x1b]0;title\x07", "x" * 255, "‮gnirts‬", "שלום עולם", "new\nline", "界" * 60]


def test_hostile_names_are_text(recorded: Path) -> None:
    for name in HOSTILE:
        path = recorded / name.replace("/", "")
        shutil.copytree(recorded / "distilled", path)
        write_json(path / "run.json", {**read_json(path / "run.json"), "strategy": name * 2, "student": name})
    (recorded / os.fsdecode(b"\xff\xfe")).mkdir()

    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        shown = await shows(pilot, "10 runs", "[red]b[red]", "\\x1b[2J", "\\u202egnirts", "new\\nline", "…")
        assert all(character.isprintable() or character == "\n" for character in shown)
        await pilot.press("2")
        for key in app.snapshot.entries:
            app.current = key
            app.tell_screen()
            await pilot.pause()
            assert all(character.isprintable() or character == "\n" for character in text(app))
        await pilot.press("1", *["space"] * 10, "D")
        await shows(pilot, "Delete (y)")
        await pilot.press("n")

    drive(recorded, steps, (100, 40))


def test_a_folder_of_runs_that_vanishes_and_comes_back(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        app = app_of(pilot)
        await pilot.press("enter")
        await shows(pilot, "seeds/stopped")
        recorded.rename(recorded.with_name("away"))
        await shows(pilot, "there is no folder")
        await pilot.press("1", *"jkobuxrDmsyt", "enter", "2", *"xrDgmlzf")
        recorded.with_name("away").rename(recorded)
        await until(pilot, lambda: len(app.snapshot.entries) == 3)
        await pilot.press("1")
        await shows(pilot, "seeds/stopped")

    drive(recorded, steps)


def test_a_folder_that_cannot_be_written_is_still_shown(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(recorded / "distilled")
    write_json(folder.status_json, {**read_json(folder.status_json), "state": "running", "hb_t": time.time()})
    folder.lock.touch()

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(30, "Read-only file system")

    writers = ("distilkit_tui.core.control.write_text", "distilkit.run_folders.folder.RunFolder._append")
    for name in (*writers, "distilkit.run_folders.state.is_held"):
        monkeypatch.setattr(name, refuse)

    async def steps(pilot: Pilot[Any]) -> None:
        await shows(pilot, "▶ running", "■ stopped")
        await pilot.press("r")
        await says(pilot, "cannot be resumed")
        app_of(pilot).current = "distilled"
        await pilot.press("2", "x")
        await says(pilot, "cannot be asked to stop")

    drive(recorded, steps)


def test_deleting_asks_and_no_is_the_default(recorded: Path) -> None:
    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("D")
        await shows(pilot, "Delete", "seeds/stopped", "No (n)")
        await pilot.press("enter")
        await pilot.pause()
        assert (recorded / "seeds" / "stopped").is_dir()
        await pilot.press("D")
        await shows(pilot, "No (n)")
        await pilot.press("y")
        await until(pilot, lambda: not (recorded / "seeds" / "stopped").exists())
        await shows(pilot, "2 runs")

    drive(recorded, steps)


def test_the_remedy_of_a_crash_is_the_headline(recorded: Path) -> None:
    status = recorded / "seeds" / "stopped" / "status.json"
    error = "memory ran out (bad_alloc): lower per_device_train_batch_size; nothing that was finished is lost"
    write_json(status, {**read_json(status), "state": "crashed", "exit": {"code": 1, "error": error}})

    async def steps(pilot: Pilot[Any]) -> None:
        await pilot.press("enter")
        shown = await shows(pilot, "✗ crashed  seeds/stopped")
        told = " ".join(shown.split())
        remedy = "Lower per_device_train_batch_size and run it again with --resume auto"
        assert remedy in told
        assert told.index(remedy) < told.index("Why: memory ran out (bad_alloc): lower per_device_train_batch_size;")

    drive(recorded, steps, (80, 24))


def test_waiting_for_the_artifact_of_another_run_is_said(recorded: Path) -> None:
    folders = {name: RunFolder(recorded / name) for name in ("distilled", "seeds/stopped")}
    for name, folder in folders.items():
        told = {"state": "running", "hb_t": time.time(), "waiting": "teacher/ab" if name == "distilled" else ""}
        write_json(folder.status_json, {**read_json(folder.status_json), **told})
    entries = RunStore(recorded).poll().entries
    said = "which is building the same teacher"
    assert waiting(entries["distilled"], entries.values()) == f"waiting for another run, {said}"
    write_json(folders["seeds/stopped"].path / "artifacts.json", {"artifacts": ["teacher/ab"]})

    async def steps(pilot: Pilot[Any]) -> None:
        app_of(pilot).current = "distilled"
        await pilot.press("2")
        await shows(pilot, f"waiting for seeds/stopped, {said}")

    drive(recorded, steps)
    assert not waiting(entries["seeds/stopped"], entries.values())


@pytest.mark.parametrize("there", [False, True])
def test_where_there_is_no_run_n_starts_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    asked: list[list[str]] = []
    if there:
        (tmp_path / "runs").mkdir()

    async def steps(pilot: Pilot[Any]) -> None:
        launcher = app_of(pilot).launcher
        monkeypatch.setattr(launcher, "start", lambda arguments, label: asked.append(list(arguments)))
        await shows(pilot, "press n to start a first run")
        await pilot.press("n")
        await shows(pilot, "Start a first run", "about a minute")
        await pilot.press("enter")
        await says(pilot, "quickstart starts in a process of its own")
        await pilot.press("n", "down", "enter")
        await shows(pilot, "[3 Launch]")

    drive(tmp_path / "runs", steps)
    assert asked == [["run", "quickstart", "--runs-dir", str(tmp_path / "runs")]]


def test_n_pressed_before_the_folder_was_looked_at_waits_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, poll = threading.Event(), RunStore.poll

    def late(store: RunStore) -> Snapshot:
        looked.wait()
        return poll(store)

    async def run() -> None:
        app = DistilkitApp(tmp_path)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.press("n")
            await shows(pilot, "looking for runs")
            looked.set()
            await shows(pilot, "Start a first run", "about a minute")

    monkeypatch.setattr(RunStore, "poll", late)
    asyncio.run(run())

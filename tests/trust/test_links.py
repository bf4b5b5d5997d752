"""Links inside a run's folder are not followed: not written through, not read through."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.lock import Lock
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import RunStatus
from distilkit_tui.core.control import Launcher, delete, request_stop
from distilkit_tui.core.store import RunStore, read_entry
from distilkit_tui.core.tail import Log

Cli = Callable[..., Any]
SECRET = '{"measures": {"secret": 1.0}, "policy": {}}\n'


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a folder that no run has anything to do with."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a finished run's folder."""
    shutil.copytree(Path(__file__).parents[1] / "tui" / "recorded_results", tmp_path / "runs")
    return tmp_path / "runs" / "distilled"


def stopped(run: Path) -> None:
    """Make a run one that can be gone on with."""
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**status, "state": "stopped"}))


@pytest.mark.parametrize("name", ["run.lock", "log.txt", "events.jsonl", "stop", "run.json"])
def test_nothing_is_written_through_a_link(run: Path, outside: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    for target in (outside / "secret", outside / "new"):
        (run / name).symlink_to(target)
        folder = RunFolder(run)
        with pytest.raises(UserError, match=rf"{name} is a symbolic link; none is followed inside a run's folder"):
            folder.refuse_links()
        for act in (
            lambda: Lock(folder.lock).acquire(),  # noqa: B023
            lambda: folder.append_log("text"),  # noqa: B023
            lambda: folder.append_event({"step": 1}),  # noqa: B023
            folder.ask_to_stop,
        ):
            try:
                act()
            except OSError:
                continue
        folder.write_status({"state": "running"})
        (run / name).unlink()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET


@pytest.mark.parametrize(
    "name", ["log.txt", "events.jsonl", "model", "eval", "eval/more", "eval/test/references", "checkpoints", "x/y"]
)
def test_a_run_with_a_link_is_not_gone_on_with(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, outside: Path, name: str
) -> None:
    runs = tmp_path / "runs"
    link = runs / "tiny" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    shutil.copy(Path(__file__).parents[1] / "tui" / "recorded_results" / "distilled" / "run.json", runs / "tiny")
    with pytest.raises(UserError, match="is a symbolic link"):
        RunFolder(runs / "tiny").refuse_links()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_command_refuses_to_work_where_a_link_leads(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, outside: Path
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "tiny").symlink_to(outside)
    done = cli("run", tiny_recipe, "--runs-dir", runs)
    assert done.code == 2
    assert f"{runs / 'tiny'} leads out of {runs} by a symbolic link, to {outside}" in done.err
    (runs / "tiny").unlink()
    (runs / "tiny").mkdir()
    (runs / "tiny" / "log.txt").symlink_to(outside / "secret")
    done = cli("run", tiny_recipe, "--runs-dir", runs)
    assert done.code == 2
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == SECRET


def test_nothing_is_read_through_a_link(run: Path, outside: Path) -> None:
    stored = StoredRun(run)
    for name in ("status.json", "events.jsonl", "log.txt", "grid.json"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(outside / "secret")
    assert stored.status() == RunStatus()
    for read in (stored.grid, lambda: list(stored.events("train"))):
        with pytest.raises(UserError, match="symbolic link"):
            read()
    log = Log(run / "log.txt")
    assert (log.read(), log.lines) == (False, [])
    measures = run / "eval" / "test" / "measures.json"
    measures.unlink()
    measures.symlink_to(outside / "secret")
    with pytest.raises(UserError, match="symbolic link"):
        stored.results().measures()
    assert read_entry("distilled", RunFolder(run)).state == "damaged"
    shutil.rmtree(run / "eval" / "test")
    (run / "eval" / "test").symlink_to(outside)
    assert stored.all_results() == {}
    assert "symbolic link" in read_entry("distilled", RunFolder(run)).problem
    assert RunStore(run.parent).poll().entries["one_layer"].state == "done"


@pytest.mark.parametrize("name", ["run.trec", "qrels.tsv", "per_query.csv", "references/bm25/run.trec"])
def test_a_comparison_reads_no_links(cli: Cli, run: Path, outside: Path, name: str) -> None:
    link = run / "eval" / "test" / name
    shutil.move(link, outside / "moved")
    link.symlink_to(outside / "moved")
    done = cli("compare", run)
    assert done.code == 2
    assert f"{link} is a symbolic link" in done.err


def test_the_terminal_interface_writes_through_none(run: Path, outside: Path) -> None:
    (run.parent / ".launch").symlink_to(outside)
    stopped(run)
    launcher = Launcher(run.parent)
    entry = read_entry("distilled", RunFolder(run))
    for act in (lambda: launcher.resume(entry), lambda: launcher.start([], "x")):
        with pytest.raises(UserError, match=r"\.launch is a symbolic link"):
            act()
    (run / "stop").symlink_to(outside / "new")
    request_stop(entry)
    (run / "run.lock").symlink_to(outside / "secret")
    with pytest.raises(UserError, match="cannot be deleted"):
        delete(RunFolder(run))
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert run.is_dir()

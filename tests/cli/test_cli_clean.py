"""`distilkit clean`: removes what no run needs, and nothing that a run, a live process or a person may want."""

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_processes import started, wait_for

from distilkit.run_folders.artifacts import remove, take_inventory
from distilkit.run_folders.disk import freed, taken
from distilkit.run_folders.lock import Lock
from distilkit.run_folders.uses import Uses

Cli = Callable[..., Any]


@pytest.fixture
def runs(finished: Any, tmp_path: Path) -> Path:
    """Return a copy of a folder of runs."""
    shutil.copytree(finished.runs, tmp_path / "runs")
    return tmp_path / "runs"


def names(runs: Path) -> set[str]:
    return {f"{path.parent.parent.name}/{path.parent.name}" for path in (runs / ".artifacts").glob("*/*/manifest.json")}


def listed(cli: Cli, runs: Path, *more: str) -> Any:
    outcome = cli("clean", "--runs-dir", runs, "--json", *more)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_everything_is_listed_with_the_runs_that_need_it(cli: Cli, runs: Path) -> None:
    found = listed(cli, runs)
    assert {f"{one['kind']}/{one['key']}" for one in found["artifacts"]} == names(runs)
    stages = [set(one["runs"]) for one in found["artifacts"] if one["kind"] == "stage"]
    assert sorted(stages, key=len) == [{"tiny"}, {"tiny", "tiny-label_only"}]  # a run is not done before its twin is
    (collection,) = (one["runs"] for one in found["artifacts"] if one["kind"] == "collection")
    assert collection == ["tiny", "tiny-label_only"]
    assert all(one["runs"] for one in found["artifacts"])
    assert all(one["bytes"] > 0 for one in found["artifacts"])
    assert found["to_remove"] == found["removed"] == []
    text = cli("clean", "--runs-dir", runs).out
    assert text == "there is nothing to remove\n" or text.endswith("\nthere is nothing to remove\n")


def test_what_no_run_needs_goes_once_that_is_agreed_to(cli: Cli, runs: Path) -> None:
    before = names(runs)
    shutil.rmtree(runs / "tiny")
    plan = listed(cli, runs)
    assert plan["removed"] == []
    assert names(runs) == before
    assert "nothing was removed; remove it with --yes" in cli("clean", "--runs-dir", runs).out
    assert names(runs) == before
    twins = set(json.loads((runs / "tiny-label_only" / "artifacts.json").read_text())["artifacts"])
    done = listed(cli, runs, "--yes")
    assert names(runs) == before & twins
    assert done["removed"] == done["to_remove"] == plan["to_remove"]
    assert done["bytes_freed"] == plan["bytes_to_free"] > 0
    assert not any(path.exists() for path in map(Path, done["removed"]))
    assert not list((runs / ".artifacts").glob("*/.*"))
    assert listed(cli, runs)["to_remove"] == []


def test_a_linked_file_frees_nothing_before_its_last_name_goes(runs: Path) -> None:
    (weights,) = (runs / ".artifacts").glob("teacher/*/model/model.safetensors")
    os.link(weights, runs / "kept.safetensors")
    (teacher,) = (one for one in take_inventory(runs).artifacts if one.kind == "teacher")
    size = weights.stat().st_size
    assert freed([teacher.taken]) == teacher.taken.size - size > 0
    assert freed([teacher.taken, taken(runs / "kept.safetensors")]) == teacher.taken.size


def test_what_finished_runs_need_goes_where_that_is_asked_for(cli: Cli, runs: Path) -> None:
    listed(cli, runs, "--finished", "--yes")
    assert names(runs) == set()
    outcome = cli("compare", "tiny", "--runs-dir", runs)
    assert outcome.code == 0, outcome.err
    assert (runs / "tiny" / "model" / "model.safetensors").stat().st_size > 0


def test_an_unfinished_run_keeps_what_it_needs(cli: Cli, runs: Path) -> None:
    status = json.loads((runs / "tiny" / "status.json").read_text())
    (runs / "tiny" / "status.json").write_text(json.dumps({**status, "state": "stopped"}))
    needed = set(json.loads((runs / "tiny" / "artifacts.json").read_text())["artifacts"])
    listed(cli, runs, "--finished", "--yes")
    assert names(runs) >= {one for one in needed if (runs / ".artifacts" / one).exists()} != set()


def test_a_finished_run_of_an_unfinished_suite_keeps_what_it_needs(cli: Cli, runs: Path) -> None:
    suite = runs / "many"
    suite.mkdir()
    for run in ("tiny", "tiny-label_only"):
        (runs / run).rename(suite / run)
    members = [{"name": f"many/{name}"} for name in ("tiny", "tiny-label_only", "to-come")]
    (suite / "suite.json").write_text(json.dumps({"runs": members}))
    before = names(runs)
    listed(cli, runs, "--finished", "--yes")
    assert names(runs) == before
    (suite / "suite.json").write_text(json.dumps({"runs": members[:2]}))
    listed(cli, runs, "--finished", "--yes")
    assert names(runs) == set()


@pytest.mark.parametrize("text", [None, "{", "[]", '{"artifacts": 3}'])
def test_a_run_that_does_not_say_what_it_needs_keeps_everything(cli: Cli, runs: Path, text: str | None) -> None:
    shutil.rmtree(runs / "tiny-label_only")
    (runs / "tiny" / "artifacts.json").unlink()
    if text is not None:
        (runs / "tiny" / "artifacts.json").write_text(text)
    before = names(runs)
    found = listed(cli, runs, "--yes")
    assert found["do_not_say_what_they_need"] == ["tiny"]
    assert names(runs) == before
    assert "all artifacts are kept" in cli("clean", "--runs-dir", runs, "--yes").out


def test_leftovers_of_the_killed_go_and_nothing_else(cli: Cli, runs: Path) -> None:
    kind, key = runs / ".artifacts" / "stage", "ab" * 32
    (kind / f".{key}.x0_y1z2a").mkdir()
    (kind / f".{key}.x0_y1z2a" / "half").write_text("written")
    (kind / key).mkdir()  # a folder whose manifest never came to be
    (runs / "tiny" / ".status.json.abcdefgh").write_text("{")
    (runs / "tiny" / "eval" / "test" / ".run.trec.abcdefgh").write_text("")
    shutil.copytree(runs / "tiny", runs / ".deleted-01234567")
    trial = runs / ".artifacts" / ".tried.x0_y1z2a"
    (trial / "model").mkdir(parents=True)
    (trial / "lock").touch()
    (kind / "notes").mkdir()
    (runs / "tiny" / ".settings").write_text("mine")
    (runs / "elsewhere").mkdir()
    (runs / ".artifacts" / "teacher" / ("cd" * 32)).symlink_to(runs / "elsewhere")
    before = names(runs)
    found = listed(cli, runs, "--yes")
    assert {Path(one).name for one in found["removed"]} == {
        f".{key}.x0_y1z2a",
        key,
        ".status.json.abcdefgh",
        ".run.trec.abcdefgh",
        ".deleted-01234567",
        ".tried.x0_y1z2a",
    }
    assert not any(Path(one).exists() for one in found["removed"])
    assert names(runs) == before
    assert (kind / "notes").is_dir()
    assert (runs / "tiny" / ".settings").read_text() == "mine"
    assert (runs / "elsewhere").is_dir()
    assert listed(cli, runs)["to_remove"] == []


TRIED = ".tried.abcdefgh"


def hold(runs: Path, name: str, build: str, run: str) -> None:
    """Use an artifact, build another and work on a run, until killed."""
    uses, locks = (
        Uses(runs / ".artifacts"),
        [
            Lock(runs / ".artifacts" / f"{build}.lock"),
            Lock(runs / ".artifacts" / TRIED / "lock"),
            Lock(runs / run / "run.lock"),
        ],
    )
    uses.state(name)
    assert all(lock.acquire() for lock in locks)
    print("holds", flush=True)
    time.sleep(60)


@pytest.fixture
def busy(runs: Path, tmp_path: Path) -> Iterator[tuple[Path, Any, str, Path]]:
    """Return a folder of runs where a process uses an artifact that no run needs, and builds another."""
    key = "ab" * 32
    (runs / "tiny" / "artifacts.json").write_text('{"artifacts": []}')
    shutil.rmtree(runs / "tiny-label_only")
    used = sorted(names(runs))[0]
    half = runs / ".artifacts" / "stage" / f".{key}.abcdefgh"
    half.mkdir()
    (runs / "tiny" / ".status.json.abcdefgh").write_text("{")
    with started(hold, runs, used, f"stage/{key}", "tiny", folder=tmp_path / "said") as process:
        wait_for(lambda: "holds" in process.stdout, process)
        yield runs, process, used, half


def test_what_a_live_process_uses_stays_until_it_is_dead(cli: Cli, busy: tuple[Path, Any, str, Path]) -> None:
    runs, process, used, half = busy
    found = listed(cli, runs, "--yes")
    assert names(runs) == {used}
    assert len(found["removed"]) == len(found["to_remove"]) - 1
    assert half.exists()
    assert (runs / ".artifacts" / TRIED).exists()
    assert (runs / "tiny" / ".status.json.abcdefgh").exists()
    assert "1 kept, which a live process uses" in cli("clean", "--runs-dir", runs, "--yes").out
    process.signal(9)
    process.wait()
    listed(cli, runs, "--yes")
    assert names(runs) == set()
    assert not half.exists()
    assert not (runs / ".artifacts" / TRIED).exists()
    assert not (runs / "tiny" / ".status.json.abcdefgh").exists()
    assert [path.name for path in (runs / ".artifacts" / "in_use").iterdir()] == ["turn"]


def test_what_came_to_be_needed_since_it_was_listed_stays(runs: Path) -> None:
    needs = (runs / "tiny" / "artifacts.json").read_text()
    (runs / "tiny" / "artifacts.json").write_text('{"artifacts": []}')
    chosen = take_inventory(runs).removable
    assert chosen
    (runs / "tiny" / "artifacts.json").write_text(needs)
    before = names(runs)
    assert remove(runs, chosen) == []
    assert names(runs) == before


@pytest.mark.parametrize(("answer", "left"), [("y\n", False), ("\n", True), ("n\n", True), ("", True)])
def test_a_terminal_is_asked(
    cli: Cli, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, answer: str, left: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    from distilkit import options
    from distilkit.commands.clean import clean

    shutil.rmtree(runs / "tiny")
    before = names(runs)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    said = clean(options.Clean(runs_dir=runs))
    assert "needed by no run" in capsys.readouterr().out
    assert (names(runs) == before) is left
    assert said.startswith("nothing was removed" if left else "removed ")


def test_a_folder_that_is_not_there_or_a_file(cli: Cli, tmp_path: Path) -> None:
    assert cli("clean", "--runs-dir", tmp_path / "none") == (0, "no artifacts\nthere is nothing to remove\n", "")
    (tmp_path / "file").write_text("")
    assert cli("clean", "--runs-dir", tmp_path / "file").code == 2

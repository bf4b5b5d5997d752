"""Artifacts are built once, whole or not at all, by whoever asks first."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cli_processes import started, wait_for

from distilkit.errors import RunFailed, Stopped
from distilkit.files import content_key
from distilkit.manifest import fast_hash, sealed
from distilkit.pipeline.graph import FORMAT, Artifact, Node, walk
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess

Build = Callable[[Path], Any]


@dataclass(frozen=True, eq=False)
class Thing(Artifact[str]):
    """A text, made by a function of its folder."""

    content: dict[str, Any]
    make: Build
    parts: tuple[Node[Any], ...] = ()
    together: bool = False  # type: ignore[misc]

    kind: ClassVar[str] = "thing"

    def work(self, workspace: Workspace) -> float:
        return 10.0

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        return self.parts

    def identity(self) -> dict[str, Any]:
        return self.content

    def build(self, folder: Path, workspace: Workspace) -> Any:
        return self.make(folder)

    def open(self, folder: Path, workspace: Workspace) -> str:
        return (folder / "value.txt").read_text()


class Thong(Thing):
    """Another kind."""

    kind: ClassVar[str] = "thong"


CONTENT = {"of": "values", "number": 1}


def workspace_of(root: Path, reporter: Reporter | None = None) -> Workspace:
    return Workspace(root, OneProcess(), reporter or Reporter(quiet=True))


def write(folder: Path) -> dict[str, int]:
    (folder / "value.txt").write_text("built")
    return {"found": 7}


def never(folder: Path) -> None:
    raise AssertionError("built twice")


THING = Thing(CONTENT, write)


def test_an_artifact_is_built_once_and_tells_what_it_is_made_of(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path)
    assert not workspace.has(THING)
    assert workspace.value(THING) == "built"
    path = workspace.path(THING)
    assert path == tmp_path / "thing" / THING.key
    assert workspace.has(THING)
    assert workspace_of(tmp_path).value(Thing(CONTENT, never)) == "built"
    made_of = {"kind": "thing", "format": FORMAT, "of": "values", "number": 1}
    files = {"value.txt": [5, fast_hash(path / "value.txt")]}
    assert workspace.facts(THING) == sealed({"key": THING.key, "made_of": made_of, "found": 7, "files": files})
    assert content_key(made_of) == THING.key
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_kind_and_identity_make_the_key() -> None:
    others = [Thong(CONTENT, write), Thing({**CONTENT, "number": 1.5}, write)]
    assert len({THING.key, *(other.key for other in others)}) == 3
    assert Thing({"number": 1, "of": "values"}, write) == THING


def chain(built: list[str]) -> tuple[Thing, Thing, Thing]:
    def noting(name: str) -> Build:
        def build(folder: Path) -> dict[str, int]:
            built.append(name)
            return write(folder)

        return build

    first = Thing({"name": "first"}, noting("first"))
    second = Thing({"name": "second"}, noting("second"), (first,))
    return first, second, Thing({"name": "third"}, noting("third"), (first, second))


def test_inputs_are_built_first_and_each_once(tmp_path: Path) -> None:
    built: list[str] = []
    first, second, third = chain(built)
    assert list(walk([third], lambda node: False)) == [first, second, third]
    workspace_of(tmp_path).prepare(third)
    assert built == ["first", "second", "third"]


def test_what_only_finished_results_are_made_of_is_not_built_again(tmp_path: Path) -> None:
    built: list[str] = []
    first, second, third = chain(built)
    workspace = workspace_of(tmp_path)
    workspace.prepare(third)
    shutil.rmtree(workspace.path(first))
    shutil.rmtree(workspace.path(second))
    workspace_of(tmp_path).prepare(third)
    assert built == ["first", "second", "third"]
    workspace_of(tmp_path).prepare(second)
    assert built == ["first", "second", "third", "first", "second"]


def test_a_build_reads_declared_inputs_alone(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path)
    other = Thing({"name": "undeclared"}, write)
    with pytest.raises(AssertionError, match="not a declared input"):
        workspace.prepare(Thing({"name": "reader"}, lambda folder: workspace.value(other)))


@pytest.mark.parametrize("error", [RunFailed("broken"), OSError("full"), Stopped("stop"), KeyboardInterrupt()])
def test_a_builder_that_raises_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise error

    workspace = workspace_of(tmp_path)
    with pytest.raises(type(error)):
        workspace.prepare(Thing(CONTENT, build))
    assert not workspace.has(THING)
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [f"{THING.key}.lock"]
    assert workspace.value(THING) == "built"


def test_what_is_no_json_is_no_manifest(tmp_path: Path) -> None:
    workspace = workspace_of(tmp_path)
    with pytest.raises(TypeError):
        workspace.prepare(Thing(CONTENT, lambda folder: {"found": object()}))
    assert not workspace.has(THING)


def build_until(root: Path, name: str, gate: Path) -> None:
    """Ask for an artifact in a process of its own, and write down who built it; it is built once the gate is there."""

    def build(folder: Path) -> None:
        with (root / "builders").open("a") as file:
            file.write(f"{name}\n")
        (folder / "half").write_text("written")
        while not gate.exists():
            time.sleep(0.01)

    workspace, thing = workspace_of(root, Reporter()), Thing(CONTENT, build)
    workspace.progress.start_whole(100.0)
    workspace.prepare(thing)
    print(workspace.path(thing), flush=True)
    print(workspace.progress.whole.total, workspace.progress.whole.waited, flush=True)


def builders(root: Path) -> list[str]:
    return (root / "builders").read_text().split() if (root / "builders").exists() else []


def test_two_processes_that_want_one_artifact_build_it_once(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with (
        started(build_until, tmp_path, "first", gate, folder=tmp_path / "first") as first,
        started(build_until, tmp_path, "second", gate, folder=tmp_path / "second") as second,
    ):
        processes = [first, second]
        wait_for(lambda: "waiting" in first.stderr + second.stderr)
        gate.touch()
        assert [process.wait() for process in processes] == [0, 0]
    assert len(builders(tmp_path)) == 1
    said = [process.stdout.split() for process in processes]
    assert [path for path, _, _ in said] == [str(tmp_path / "thing" / THING.key)] * 2
    # The forecast of the one that waited has neither the work of the other nor the time of waiting.
    assert sorted((float(total), float(seconds) > 0) for _, total, seconds in said) == [(90.0, True), (100.0, False)]
    waited = [process for process in processes if "waiting for another run" in process.stderr]
    assert len(waited) == 1
    assert waited[0].stderr.count("waiting") == 1
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_who_waits_for_a_builder_that_is_killed_builds(tmp_path: Path) -> None:
    with started(build_until, tmp_path, "first", tmp_path / "never", folder=tmp_path / "first") as first:
        wait_for(lambda: builders(tmp_path), first)
        with started(build_until, tmp_path, "second", tmp_path, folder=tmp_path / "second") as second:
            wait_for(lambda: "waiting" in second.stderr, second)
            first.signal(signal.SIGKILL)
            assert second.wait() == 0, second.stderr
    assert builders(tmp_path) == ["first", "second"]
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_who_waits_can_be_stopped(tmp_path: Path) -> None:
    class Asked(Reporter):
        def stop_requested(self) -> bool:
            return True

    with started(build_until, tmp_path, "first", tmp_path / "never", folder=tmp_path / "first") as first:
        wait_for(lambda: builders(tmp_path), first)
        with pytest.raises(Stopped):
            workspace_of(tmp_path, Asked(quiet=True)).prepare(Thing(CONTENT, never))


class Follower:
    """A process beside the main one, to which the main one's results come in order."""

    is_main = False

    def __init__(self, *results: object) -> None:
        self.results = list(results)

    def on_main(self, work: object) -> object:
        """Return what the main process came to."""
        found = self.results.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found


def test_other_processes_take_part_in_what_all_build(tmp_path: Path) -> None:
    built = []

    def build(folder: Path) -> None:
        built.append(folder)

    hit, together, alone = (
        Follower(True),
        Follower(False, False, tmp_path / "x", None),
        Follower(False, False, tmp_path / "x", {}, None),
    )
    for group, all_build in [(hit, True), (together, True), (alone, False)]:
        workspace = Workspace(tmp_path, group, Reporter(quiet=True))  # type: ignore[arg-type]
        workspace.prepare(Thing(CONTENT, build, together=all_build))
        assert group.results == []
    assert built == [tmp_path / "x"]
    failed = Follower(False, False, tmp_path / "x", RunFailed("no room"))
    with pytest.raises(RunFailed):
        Workspace(tmp_path, failed, Reporter(quiet=True)).prepare(Thing(CONTENT, build))  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_manifests_read_back(tmp_path: Path) -> None:
    workspace_of(tmp_path).prepare(THING)
    text = (tmp_path / "thing" / THING.key / "manifest.json").read_text()
    assert json.loads(text)["made_of"]["number"] == 1

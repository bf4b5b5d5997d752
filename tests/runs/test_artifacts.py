"""Artifacts are built once, whole or not at all, by whoever asks first."""

import json
import signal
import time
from pathlib import Path

import pytest
from cli_processes import Started, started, wait_for

from distilkit.errors import RunFailed, Stopped
from distilkit.files import content_key
from distilkit.progress import OneProcess
from distilkit.runs.artifacts import Artifact, Artifacts
from distilkit.runs.reporter import Reporter

THING = Artifact("thing", {"of": "values", "number": 1})


def artifacts(root: Path, reporter: Reporter | None = None) -> Artifacts:
    return Artifacts(root, OneProcess(), reporter or Reporter(quiet=True))


def write(folder: Path) -> dict[str, int]:
    (folder / "value.txt").write_text("built")
    return {"found": 7}


def never(folder: Path) -> None:
    raise AssertionError("built twice")


def test_an_artifact_is_built_once_and_tells_what_it_is_made_of(tmp_path: Path) -> None:
    store = artifacts(tmp_path)
    assert not store.has(THING)
    path = store.get(THING, write)
    assert path == tmp_path / "thing" / THING.key == store.path(THING)
    assert store.has(THING)
    assert store.get(THING, never) == path
    assert (path / "value.txt").read_text() == "built"
    made_of = {"kind": "thing", "format": 1, "of": "values", "number": 1}
    assert store.facts(THING) == {"key": THING.key, "made_of": made_of, "found": 7}
    assert content_key(made_of) == THING.key
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_kind_and_manifest_make_the_key() -> None:
    others = [Artifact("thong", THING.manifest), Artifact("thing", {**THING.manifest, "number": 1.5})]
    assert len({THING.key, *(other.key for other in others)}) == 3
    assert Artifact("thing", {"number": 1, "of": "values"}).key == THING.key


@pytest.mark.parametrize("error", [RunFailed("broken"), OSError("full"), Stopped("stop"), KeyboardInterrupt()])
def test_a_builder_that_raises_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_text("written")
        raise error

    store = artifacts(tmp_path)
    with pytest.raises(type(error)):
        store.get(THING, build)
    assert not store.has(THING)
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [f"{THING.key}.lock"]
    assert store.get(THING, write)


def test_what_is_no_json_is_no_manifest(tmp_path: Path) -> None:
    store = artifacts(tmp_path)
    with pytest.raises(TypeError):
        store.get(THING, lambda folder: {"found": object()})
    assert not store.has(THING)


def build_slowly(root: Path, name: str, seconds: float) -> None:
    """Ask for an artifact in a process of its own, and write down who built it."""

    def build(folder: Path) -> None:
        with (root / "builders").open("a") as file:
            file.write(f"{name}\n")
        (folder / "half").write_text("written")
        time.sleep(seconds)

    print(artifacts(root, Reporter()).get(THING, build), flush=True)


def builders(root: Path) -> list[str]:
    return (root / "builders").read_text().split() if (root / "builders").exists() else []


def test_two_processes_that_want_one_artifact_build_it_once(tmp_path: Path) -> None:
    processes: list[Started] = []
    with (
        started(build_slowly, tmp_path, "first", 0.6, folder=tmp_path / "first") as first,
        started(build_slowly, tmp_path, "second", 0.6, folder=tmp_path / "second") as second,
    ):
        processes += [first, second]
        assert [process.wait() for process in processes] == [0, 0]
    assert len(builders(tmp_path)) == 1
    assert [process.stdout.strip() for process in processes] == [str(tmp_path / "thing" / THING.key)] * 2
    waited = [process for process in processes if "waiting for another run" in process.stderr]
    assert len(waited) == 1
    assert waited[0].stderr.count("waiting") == 1
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_who_waits_for_a_builder_that_is_killed_builds(tmp_path: Path) -> None:
    with started(build_slowly, tmp_path, "first", 60.0, folder=tmp_path / "first") as first:
        wait_for(lambda: builders(tmp_path), first)
        with started(build_slowly, tmp_path, "second", 0.0, folder=tmp_path / "second") as second:
            wait_for(lambda: "waiting" in second.stderr, second)
            first.signal(signal.SIGKILL)
            assert second.wait() == 0, second.stderr
    assert builders(tmp_path) == ["first", "second"]
    assert [found.name for found in (tmp_path / "thing").iterdir()] == [THING.key]


def test_who_waits_can_be_stopped(tmp_path: Path) -> None:
    class Asked(Reporter):
        def stop_requested(self) -> bool:
            return True

    with started(build_slowly, tmp_path, "first", 60.0, folder=tmp_path / "first") as first:
        wait_for(lambda: builders(tmp_path), first)
        with pytest.raises(Stopped):
            artifacts(tmp_path, Asked(quiet=True)).get(THING, never)


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
        Follower(False, tmp_path / "x", None),
        Follower(False, tmp_path / "x", {}, None),
    )
    for group, all_build in [(hit, True), (together, False), (alone, True)]:
        store = Artifacts(tmp_path, group, Reporter(quiet=True))  # type: ignore[arg-type]
        assert store.get(THING, build, alone=all_build) == store.path(THING)
        assert group.results == []
    assert built == [tmp_path / "x"]
    failed = Follower(False, tmp_path / "x", RunFailed("no room"))
    with pytest.raises(RunFailed):
        Artifacts(tmp_path, failed, Reporter(quiet=True)).get(THING, build)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_manifests_read_back(tmp_path: Path) -> None:
    artifacts(tmp_path).get(THING, write)
    text = (tmp_path / "thing" / THING.key / "manifest.json").read_text()
    assert json.loads(text)["made_of"]["number"] == 1

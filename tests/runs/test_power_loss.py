"""After lost power, at any moment, what has its name is whole; and a run goes on to what it would have come to."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from power import Disk, Image, recorded, restore
from settings_given import sets

from distilkit.files import atomic_folder, atomic_path, remove_folder, write_json, write_text
from distilkit.manifest import MANIFEST, write_manifest

CHANCE = random.Random(3)

Check = Callable[[Image], None]


def every_cut(root: Path, check: Check, work: Callable[[], object]) -> int:
    """Check what is on the disk after a cut at every moment of some work, and after it; return how many there were."""

    def cut(disk: Disk) -> None:
        for image in disk.images(CHANCE):
            check(image)

    with recorded(root, cut) as disk:
        work()
    for image in disk.images(CHANCE):
        check(image)
    return disk.cuts


def test_the_layer_drops_what_was_not_written_through(tmp_path: Path) -> None:
    found: list[Image] = []
    (tmp_path / "before").write_text("old")
    with recorded(tmp_path) as disk:
        (tmp_path / "new").write_text("not synced")
        (tmp_path / "before").rename(tmp_path / "renamed")
        found += disk.images(CHANCE)[:2]
    assert found == [{"new": b"", "renamed": b"old"}, {"before": b"old"}]


def test_the_layer_finds_a_writer_that_syncs_nothing(tmp_path: Path) -> None:
    def careless() -> None:
        (tmp_path / ".whole").write_text("content")
        (tmp_path / ".whole").rename(tmp_path / "whole")

    with pytest.raises(AssertionError):
        every_cut(tmp_path, lambda image: _whole(image, "whole", {b"content"}), careless)


def _whole(image: Image, name: str, contents: set[bytes], absent: bool = True) -> None:
    """Assert that a file is absent or has one of some contents."""
    assert (absent and name not in image) or image[name] in contents


def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def work() -> None:
        for number in range(3):
            write_text(tmp_path / "deep" / "er" / "file", f"{number}")

    cuts = every_cut(tmp_path, lambda image: _whole(image, "deep/er/file", {b"0", b"1", b"2"}), work)
    assert cuts > 10
    last: list[Image] = []
    with recorded(tmp_path) as disk:
        write_text(tmp_path / "deep" / "er" / "file", "3")
        last = disk.images(CHANCE)
    assert [image["deep/er/file"] for image in last] == [b"3"] * 3


def test_what_a_failing_disk_refuses_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("content")
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "file").write_text("content")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    def write(text: str) -> None:
        with atomic_folder(tmp_path / "folder") as temporary:
            (temporary / "part").mkdir()
            (temporary / "part" / "a").write_text(text)
            write_json(temporary / "b", text)
            with atomic_folder(temporary / "inner") as inner:
                (inner / "c").write_text(text)
            write_manifest(temporary, {})

    def check(image: Image) -> None:
        if "folder" in image:
            texts = {image[f"folder/{name}"] for name in ("part/a", "inner/c")}
            assert texts in ({b"1"}, {b"2"})
            assert json.loads(image["folder/b"] or b"") == next(iter(texts)).decode()  # type: ignore[union-attr]
            assert_whole(image, f"folder/{MANIFEST}")

    def work() -> None:
        write("1")
        write("2")
        remove_folder(tmp_path / "folder")

    assert every_cut(tmp_path, check, work) > 20
    assert list(tmp_path.iterdir()) == []


def assert_whole(image: Image, manifest: str) -> None:
    """Assert that a folder holds all files of its manifest, with the sizes that it says."""
    found = json.loads(image[manifest] or b"")
    folder = manifest.removesuffix(MANIFEST)
    sizes = {name: len(image[f"{folder}{name}"] or b"") for name in found["files"]}
    assert sizes == {name: size for name, (size, _) in found["files"].items()}


def consistent(image: Image) -> None:
    """Assert that all that a run has named is whole."""
    for name, content in image.items():
        parts = name.split("/")
        if any(part.startswith(".") and part != ".artifacts" for part in parts):
            continue
        if parts[0] == ".artifacts" and len(parts) == 3 and content is None:
            assert_whole(image, f"{name}/{MANIFEST}")
        elif parts[-1] == MANIFEST and "content" not in parts:
            assert_whole(image, name)
        elif parts[-1].startswith("checkpoint-"):
            kept = {one for one in ("weights.safetensors", "optimizer.safetensors") if image[f"{name}/{one}"]}
            assert len(kept) == 2
            assert json.loads(image[f"{name}/trainer_state.json"] or b"")["step"] == int(name.rpartition("-")[2])
        elif parts[-1] in ("run.json", "grid.json", "curve.json", "cost.json", "measures.json"):
            assert json.loads(content or b"")
        elif parts[-1] in ("run.trec", "per_query.csv", "qrels.tsv") and "eval" in parts:
            assert content
        elif parts[-1] == "status.json" and content and json.loads(content)["state"] == "done":
            folder = name.removesuffix("status.json")
            assert {f"{folder}eval/test/{MANIFEST}", f"{folder}model/{MANIFEST}"} <= image.keys()


SETTINGS = ("twin.budget=none", "train.save_steps=3", "train.eval_steps=4", "teacher.train.save_steps=7")


@pytest.mark.slow
def test_a_run_whose_power_is_lost(
    tmp_path: Path, tiny_recipe: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = sets(*SETTINGS)
    runs = tmp_path / "runs"
    kept: list[Image] = []
    chance = random.Random(8)

    def run(runs: Path) -> None:
        outcome = cli("run", tiny_recipe, "--runs-dir", runs, *words, "--resume", "auto")
        assert outcome.code == 0, outcome.err

    def cut(disk: Disk) -> None:
        # Every tenth moment is enough to meet each kind of writing several times.
        if disk.cuts % 10 == chance.randrange(10):
            images = disk.images(chance)
            for image in images:
                consistent(image)
            kept.append(chance.choice(images))

    runs.mkdir()
    with recorded(runs, cut) as disk:
        run(runs)
    assert disk.cuts > 300
    for image in disk.images(chance):  # all that is done stays done
        assert json.loads(image["tiny/status.json"] or b"")["state"] == "done"
        assert {"tiny/eval/test/manifest.json", "tiny/model/manifest.json"} <= image.keys()
        consistent(image)
    for number, image in enumerate(chance.sample(kept, 4)):
        again = tmp_path / f"again{number}"
        restore(image, again)
        run(again)
        for name in ("model/model.safetensors", "eval/test/run.trec", "eval/test/per_query.csv"):
            assert (again / "tiny" / name).read_bytes() == (runs / "tiny" / name).read_bytes()
        shutil.rmtree(again)

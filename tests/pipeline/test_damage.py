"""What is damaged on disk is named, set aside and made again; nothing else comes of it."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from damage import DAMAGES, files
from settings_given import sets

from distilkit.manifest import MANIFEST, damage, is_sealed, sealed, write_manifest
from distilkit.pipeline.reporter import Reporter
from distilkit.run_folders.read import StoredRun
from distilkit.training.checkpoint import checkpoints, latest_checkpoint
from distilkit.training.trainer import Trainer

Run = Callable[..., Any]
KINDS = ["collection", "candidates", "tokens", "teacher", "stage", "ranking", "cost"]
SETTINGS = ("twin.budget=none", "train.save_steps=3", "train.eval_steps=4", "student.dropout=0.2")
RESULTS = ("model/model.safetensors", "eval/test/run.trec", "eval/test/per_query.csv", "eval/test/measures.json")


@pytest.fixture(scope="module")
def run(tiny_recipe: Path, cli: Run) -> Run:
    """Return a function that runs the recipe in a folder of runs."""

    def call(runs: Path, *words: str) -> Any:
        settings = sets(*SETTINGS)
        return cli("run", tiny_recipe, "--runs-dir", runs, *settings, *words)

    return call


@pytest.fixture(scope="module")
def whole(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the runs of a recipe that nothing happened to."""
    runs = tmp_path_factory.mktemp("whole")
    assert run(runs).code == 0
    return runs


def results(runs: Path) -> list[bytes]:
    return [(runs / "tiny" / name).read_bytes() for name in RESULTS]


def test_every_damage_of_every_artifact_is_seen(whole: Path, tmp_path: Path) -> None:
    seen: dict[str, int] = {}
    for manifest in (whole / ".artifacts").glob(f"*/*/{MANIFEST}"):
        kind = manifest.parts[-3]
        for name in (path.relative_to(manifest.parent) for path in files(manifest.parent)):
            for number, harm in enumerate(DAMAGES.values()):
                folder = tmp_path / "copy"
                shutil.copytree(manifest.parent, folder)
                assert damage(folder) is None
                harm(folder / name, random.Random(number))
                found = damage(folder)
                assert found is not None
                assert str(name) in found
                seen[kind] = seen.get(kind, 0) + 1
                shutil.rmtree(folder)
    assert seen.keys() == set(KINDS)
    assert sum(seen.values()) > 150


@pytest.mark.parametrize("harm", DAMAGES)
def test_damaged_artifacts_are_made_again(whole: Path, run: Run, tmp_path: Path, harm: str) -> None:
    """One of each kind at once, so that what is made again is made of what is made again."""
    runs, chance = tmp_path / "runs", random.Random(harm)
    shutil.copytree(whole / ".artifacts", runs / ".artifacts")
    hurt: dict[Path, str] = {}
    for kind in KINDS:
        folder = chance.choice(sorted((runs / ".artifacts" / kind).glob("*")))
        path = chance.choice(files(folder))
        DAMAGES[harm](path, chance)
        hurt[folder] = str(path.relative_to(folder))
    code, _, said = run(runs)
    assert code == 0, said
    for folder, name in hurt.items():
        (line,) = (line for line in said.splitlines() if line.startswith(f"{folder} is damaged: "))
        assert name in line
        assert line.endswith(f"; it is set aside as {folder.name}.damaged and made again")
        assert damage(folder) is None
        assert line in (runs / "tiny" / "log.txt").read_text() or folder.parent.name == "collection"
    assert results(runs) == results(whole)


def stopped_behind(checkpoints_: int, runs: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stop a run when the student has written some checkpoints; return their folder."""

    def stop_requested(reporter: Reporter) -> bool:
        assert reporter.folder is not None
        saved = StoredRun(reporter.folder.path).events("checkpoint")
        return sum(one.stage == "distil" for one in saved) >= checkpoints_

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "stop_requested", stop_requested)
        assert run(runs).code == 130
    return next((runs / "tiny" / "checkpoints").glob("stage-*"))


CHECKPOINT = ("weights.safetensors", "optimizer.safetensors", "best.safetensors", "trainer_state.json", MANIFEST)


def test_a_torn_checkpoint_gives_way_to_the_one_before(
    whole: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole / ".artifacts", tmp_path / ".artifacts", ignore=shutil.ignore_patterns("stage"))
    folder = stopped_behind(3, tmp_path, run, monkeypatch)
    before, last = checkpoints(folder)
    said: list[str] = []
    for name in CHECKPOINT:
        for harm in DAMAGES.values():
            shutil.copytree(last, tmp_path / "kept")
            harm(last / name, random.Random(4))
            assert latest_checkpoint(folder, said.append) == before
            assert said[-1].startswith(f"{last} is damaged: ")
            assert checkpoints(folder) == [before]
            (tmp_path / "kept").rename(last)
    assert latest_checkpoint(folder, said.append) == last
    DAMAGES["flipped"](last / "weights.safetensors", random.Random(4))
    code, _, err = run(tmp_path, "--resume", "auto")
    assert code == 0, err
    assert f"{last} is damaged: the content of weights.safetensors has changed; it is set aside" in err
    assert f"resumed from step {before.name.removeprefix('checkpoint-')} of" in err
    assert results(tmp_path) == results(whole)
    assert not (tmp_path / "tiny" / "checkpoints").exists()


def test_without_a_whole_checkpoint_the_stage_starts_again(
    whole: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole / ".artifacts", tmp_path / ".artifacts", ignore=shutil.ignore_patterns("stage"))
    folder = stopped_behind(3, tmp_path, run, monkeypatch)
    for path in checkpoints(folder):
        DAMAGES["cut"](path / "optimizer.safetensors", random.Random(4))
    code, _, said = run(tmp_path, "--resume", "auto")
    assert code == 0, said
    assert said.count("is damaged: optimizer.safetensors has") == 2
    assert "resumed from step" not in said
    assert results(tmp_path) == results(whole)


def test_a_stage_whose_last_step_diverged_is_not_stored(
    whole: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of the last step is finite; what it does to the weights is not."""
    step = Trainer._step

    def diverging(trainer: Trainer, *given: Any) -> dict[str, float]:
        values = step(trainer, *given)
        if trainer.label == "intermediate" and trainer.state.step + 1 == trainer.total:
            with torch.no_grad():
                next(trainer.objective.student.parameters())[0, 0] = torch.inf
        return values

    shutil.copytree(whole / ".artifacts", tmp_path / ".artifacts", ignore=shutil.ignore_patterns("stage"))
    words = ("--set", "strategy.name=tinybert", "--set", "strategy.general=false")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", diverging)
        code, _, said = run(tmp_path, *words)
    assert (code, "the weights" in said, "are not finite; lower the learning rate" in said) == (1, True, True), said
    assert not list((tmp_path / ".artifacts").glob("stage/*/manifest.json"))


def test_manifests_tell_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    write_manifest(tmp_path, {"pairs": (1, 2), "value": 0.1})
    kept = (tmp_path / MANIFEST).read_bytes()
    assert damage(tmp_path) is None
    for place in range(len(kept)):  # any byte of the manifest
        data = bytearray(kept)
        data[place] ^= 1
        (tmp_path / MANIFEST).write_bytes(bytes(data))
        assert damage(tmp_path) is not None or data[place : place + 1].isspace() or kept[place : place + 1].isspace()
    record = sealed({"name": "tiny", "values": [1, {"a": None}]})
    assert is_sealed(record)
    assert not is_sealed({**record, "name": "Tiny"})


@pytest.mark.parametrize("files", [{"../outside": [7, ""]}, {"/etc/hostname": [7, ""]}, {"file": 7}, {"file": []}, []])
def test_a_manifest_of_a_stranger_reaches_nothing_else(tmp_path: Path, files: object) -> None:
    import json

    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").write_text("content")
    (tmp_path / "folder" / "file").write_text("content")
    (tmp_path / "folder" / MANIFEST).write_text(json.dumps(sealed({"files": files})))
    assert damage(tmp_path / "folder") is not None or files == []

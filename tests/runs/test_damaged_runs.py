"""A finished run whose files are damaged says so in one sentence, and is made whole by resuming it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import DAMAGES, files

from distilkit.errors import UserError
from distilkit.models.references import local_folder
from distilkit.run_folders.folder import RunFolder

Cli = Callable[..., Any]
GRID = "grid.train.learning_rate=[1e-3, 1e-2]"
UNREAD = ("run.lock", "log.txt", "artifacts.json")


@pytest.fixture(scope="module")
def whole(tiny_recipe: Path, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the runs of a recipe with a grid and a twin."""
    runs = tmp_path_factory.mktemp("whole")
    code, _, said = cli("run", tiny_recipe, "--runs-dir", runs, "--set", GRID, "--set", "train.eval_steps=4")
    assert code == 0, said
    return runs


@pytest.fixture
def runs(whole: Path, tmp_path: Path) -> Path:
    """Return a copy of the runs."""
    shutil.copytree(whole, tmp_path / "runs")
    return tmp_path / "runs"


def content(run: Path) -> dict[str, bytes]:
    """Return what a finished run came to; its card tells how long a query took, which is timed anew."""
    names = ("eval/**/run.trec", "eval/**/per_query.csv", "eval/**/measures.json", "eval/**/qrels.tsv", "model/*")
    found = {path for name in names for path in run.glob(name) if path.is_file()}
    return {str(path.relative_to(run)): b"" if path.name == "README.md" else path.read_bytes() for path in found}


def said_of(cli: Cli, runs: Path) -> list[str]:
    """Return what the commands say of a run, by which nothing may be said that is not so."""
    found = []
    for words in (["compare", "tiny"], ["compare", "tiny", "--format", "json"], ["show", "tiny"]):
        code, out, err = cli(*words, "--runs-dir", runs)
        assert code in (0, 2), (words, err)
        assert code == 0 or (err.count("\n") == 1 and err.startswith("distilkit: ") and out == ""), err
        found.append(out.replace(str(runs), "RUNS") if code == 0 else "")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("harm", DAMAGES)
def test_commands_say_what_was_or_one_sentence(whole: Path, runs: Path, cli: Cli, harm: str) -> None:
    expected = said_of(cli, whole)
    expected = [text.replace(str(whole), "RUNS") for text in expected]
    refused = 0
    for path in [one for run in ("tiny", "tiny-label_only") for one in files(runs / run) if one.name not in UNREAD]:
        kept = path.read_bytes()
        DAMAGES[harm](path, random.Random(path.name))
        for found, right in zip(said_of(cli, runs), expected, strict=True):
            # The status is of life signs alone, and events are of the way there; a twin without a record is left out.
            less = "has no results for the set test and is left out" in found
            assert found in ("", right) or less or path.name in ("status.json", "events.jsonl"), path
            refused += found == ""
        path.unlink(missing_ok=True)
        path.write_bytes(kept)
    assert refused > 20
    assert said_of(cli, runs) == expected


@pytest.mark.parametrize("harm", DAMAGES)
def test_resuming_makes_a_finished_run_whole(whole: Path, runs: Path, cli: Cli, tiny_recipe: Path, harm: str) -> None:
    chance = random.Random(harm)
    for run in ("tiny", "tiny-label_only"):
        for part in ("run.json", "artifacts.json", "grid.json", "curve.json", "events.jsonl", "eval", "model"):
            place = runs / run / part
            DAMAGES[harm](chance.choice(files(place)) if place.is_dir() else place, chance)
    DAMAGES[harm](chance.choice(files(runs / "tiny" / "eval" / "test" / "references" / "teacher")), chance)
    words = ["--set", GRID, "--set", "train.eval_steps=4", "--resume", "auto"]
    code, _, said = cli("run", tiny_recipe, "--runs-dir", runs, *words)
    assert code == 0, said
    assert "is incomplete or damaged: " in said
    for run in ("tiny", "tiny-label_only"):
        assert content(runs / run) == content(whole / run)
        assert json.loads((runs / run / "status.json").read_text())["state"] == "done"
        assert [(runs / run / name).read_text() for name in ("grid.json", "curve.json")] == [
            (whole / run / name).read_text() for name in ("grid.json", "curve.json")
        ]
    before = content(runs / "tiny")
    assert cli("run", tiny_recipe, "--runs-dir", runs, *words).err == ""  # and now it is done
    assert content(runs / "tiny") == before


def test_a_damaged_model_is_not_loaded(runs: Path) -> None:
    model = runs / "tiny" / "model"
    assert local_folder(str(model)) == model
    for name, what in (("model.safetensors", "the content of"), ("tokenizer.json", "tokenizer.json has")):
        kept = (model / name).read_bytes()
        DAMAGES["flipped" if what.startswith("the") else "cut"](model / name, random.Random(1))
        with pytest.raises(UserError, match=f"{model} is damaged: .*{name}.*; run its recipe again with --resume auto"):
            local_folder(str(model))
        (model / name).write_bytes(kept)
        # A copy elsewhere tells it too.
        assert local_folder(str(model)) == model


def test_the_manifest_of_another_model_is_none_of_ours(tiny_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    for text in ("{}", '{"files": ["a"]}', "no JSON", '{"key": 1, "made_of": 2}'):
        (tmp_path / "model" / "manifest.json").write_text(text)
        assert local_folder(str(tmp_path / "model")) == tmp_path / "model"


LINE = '{"v": 1, "t": 1.5, "step": 1, "kind": "train", "stage": "s", "values": {}}\n'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", 0),
        (LINE, 1),
        (LINE * 2, 2),
        (LINE + LINE[:-1], 1),
        (LINE + LINE[:20], 1),
        (LINE[:20], 0),
        (LINE + "\0" * 100, 1),
        (LINE + "\0" * 100 + "\n", 1),
        (LINE + "\n\n", 1),
        (LINE + "[1]\n", 1),
    ],
)
def test_a_torn_last_line_of_events_is_dropped(tmp_path: Path, text: str, kept: int) -> None:
    folder = RunFolder(tmp_path)
    folder.events.write_text(text)
    assert folder.mend_events() == len(text) - kept * len(LINE)
    assert folder.events.read_text() == LINE * kept
    assert folder.mend_events() == 0
    folder.append_event({"step": 2, "kind": "train", "stage": "s", "values": {}})
    assert len(folder.events.read_text().splitlines()) == kept + 1

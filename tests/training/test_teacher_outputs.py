"""A teacher's scores, computed once for every run or in every step; and a teacher that keeps its dropout."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from settings_given import sets

from distilkit.pipeline.build_objective import build_objective
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

Cli = Callable[..., Any]
KD = ("twin.budget=none", "student.dropout=0.1", 'strategy={name = "standard_kd", temperature = 2.0}')


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs") / "runs"


@pytest.fixture(scope="module")
def trained(cli: Cli, tiny_recipe: Path, runs: Path) -> Callable[..., dict[str, torch.Tensor]]:
    """Return a function that runs standard KD and returns the student's weights."""

    def finish(name: str, *options: str) -> dict[str, torch.Tensor]:
        words = sets(*KD, *options)
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", name, *words)
        assert done.code == 0, done.err
        return load_file(runs / name / "model" / "model.safetensors")

    return finish


def kept(runs: Path) -> list[Path]:
    return sorted((runs / ".artifacts" / "scores").glob("*/scores.npy"))


def test_scores_computed_ahead_train_the_same_student(trained: Any, runs: Path) -> None:
    online = trained("online", "teacher.scores=online")
    assert kept(runs) == []
    cached = trained("cached")
    assert len(kept(runs)) == 1
    for name, weight in online.items():
        torch.testing.assert_close(weight, cached[name], rtol=0, atol=1e-6, msg=name)
    # Other runs of the same pairs and teacher find them there; other pairs are scored anew.
    trained("hotter", "strategy.temperature=3.0")
    assert len(kept(runs)) == 1
    trained("another", "seed=2")
    assert len(kept(runs)) == 2


def test_cached_or_not_is_part_of_the_key(trained: Any, runs: Path) -> None:
    trained("cached2")
    trained("online2", "teacher.scores=online")
    manifests = [json.loads(path.read_text())["made_of"] for path in runs.glob(".artifacts/stage/*/manifest.json")]
    assert {made["scored_ahead"] for made in manifests} == {True, False}


def test_a_teacher_may_keep_its_dropout(trained: Any, runs: Path) -> None:
    before = len(kept(runs))
    frozen, dropping = trained("frozen"), trained("dropping", "strategy.teacher_mode=train")
    assert len(kept(runs)) == max(before, 1)  # scores that change from step to step are not kept
    assert any(not torch.equal(frozen[name], dropping[name]) for name in frozen)
    again = trained("again", "strategy.teacher_mode=train", "description=the same")
    assert all(torch.equal(dropping[name], again[name]) for name in again)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_teachers_mode(tiny_recipe: Path, tmp_path: Path, mode: str) -> None:
    workspace = Workspace(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True))
    recipe = load_recipe(tiny_recipe, [f"strategy.teacher_mode={mode}", "teacher.fine_tune=none"])
    (stage,) = Pipeline(recipe, workspace).grid()[0].stages
    objective = build_objective(stage, workspace, half=False)
    assert objective.teacher is not None
    assert objective.teacher.training == (mode == "train")
    objective.train()
    assert objective.teacher.training == (mode == "train")
    assert not any(parameter.requires_grad for parameter in objective.teacher.parameters())
    assert objective.student.training


def test_other_words_are_refused(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "teacher.scores=sometimes")
    assert done.code == 2
    assert "[teacher] scores = 'sometimes'" in done.err

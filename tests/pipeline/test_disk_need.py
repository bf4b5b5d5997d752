"""What runs will take on disk is told before they start, comes close to what they take, and must be free."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.pipeline.disk import CHECKPOINTS, TOKENIZER, disk_need
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

Cli = Callable[..., Any]


@pytest.fixture
def pipeline(tiny_recipe: Path, tmp_path: Path) -> Pipeline:
    return Pipeline(load_recipe(tiny_recipe), Workspace(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True)))


def test_the_need_grows_with_what_runs_are_made_of(tiny_recipe: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    def need(**changes: object) -> Any:
        words = [f"{name.replace('__', '.')}={value}" for name, value in changes.items()]
        return disk_need(Pipeline(load_recipe(tiny_recipe, words), pipeline.workspace))

    plain = need()
    assert need(student__shape='"L4_H16"').artifacts > plain.artifacts
    assert need(evaluate__rerank_depth=40).artifacts > plain.artifacts
    assert need(evaluate__rerank_depth=40).folders > plain.folders
    # A teacher's weights and its checkpoints: four layers of 16 states, and the words of a vocabulary of 29.
    weights = 4 * (4 * (4 * 16 * 16 + 2 * 16 * 64) + (29 + 512) * 16)
    assert plain.checkpoints == CHECKPOINTS * weights
    assert plain.artifacts > weights + 2 * TOKENIZER  # of teacher and student
    several = disk_need(pipeline, pipeline)
    assert several.artifacts == plain.artifacts  # each once
    assert several.folders == 2 * plain.folders


def test_a_run_that_cannot_fit_is_refused_before_it_starts(
    cli: Cli, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distilkit.pipeline.disk.free", lambda folder: 1 << 20)
    for more in ((), ("--set", 'matrix.strategies=["fine_tune"]', "--set", 'matrix.students=["bert_cat:L2_H16"]')):
        outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", *more)
        assert outcome.code == 2, outcome.err
        last = outcome.err.splitlines()[-1]
        assert last.startswith("distilkit: this needs about ")
        assert "where 1.0 MiB are free; remove what no run needs with `distilkit clean`" in last
        assert [path.name for path in (tmp_path / "runs").iterdir()] == [".artifacts"]


def test_a_suite_tells_its_need(cli: Cli, tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distilkit.pipeline.suite_run._train_all", lambda *given: given[3].append("enough"))
    words = ("--set", 'matrix.strategies=["fine_tune", "margin_mse"]', "--set", 'matrix.students=["bert_cat:L2_H16"]')
    outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path, *words)
    assert outcome.code == 1
    assert outcome.err.startswith("suite tiny: 6 runs to train; needs about ")
    assert " of disk in " in outcome.err

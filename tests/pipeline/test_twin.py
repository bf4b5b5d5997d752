"""The label-only twin: the same student, examples and budget, without a teacher."""

from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe


@pytest.fixture
def twin(tiny_recipe: Path, tmp_path: Path) -> Any:
    """Return a function from overrides to (the student's pipeline, the twin's)."""

    def make(*overrides: str) -> tuple[Pipeline, Pipeline]:
        workspace = Workspace(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True))
        student = Pipeline(load_recipe(tiny_recipe, list(overrides)), workspace)
        recipe = twin_of(student)
        assert recipe is not None
        return student, Pipeline(recipe, workspace, twin_of=student.recipe.name)

    return make


def sizes(pipeline: Pipeline) -> tuple[int, int]:
    """Return the steps of the one stage and the pairs of a step."""
    (stage,) = pipeline.grid()[0].stages
    steps = stage.steps(pipeline.workspace)
    assert steps is not None
    return steps, stage.pairs_per_step


def test_it_takes_as_many_steps_of_as_many_pairs(twin: Any) -> None:
    student, other = twin()
    assert sizes(other) == sizes(student)
    assert other.recipe.strategy["name"] == "fine_tune"
    assert not other.grid()[0].stages[0].stage.uses_teacher


def test_in_lists_too(twin: Any) -> None:
    student, other = twin(
        "twin.strategy=fine_tune(listwise=1.0)", "train.per_device_train_batch_size=9", "train.negatives=2"
    )
    (stage,) = other.grid()[0].stages
    assert stage.stage.examples == "lists"
    assert stage.stage.train.per_device_train_batch_size == 3
    assert sizes(other) == sizes(student)


def test_as_much_compute_is_more_steps(twin: Any) -> None:
    student, other = twin("twin.budget=compute")
    # Four layers teach two: a step costs (3 * 2 + 4) / (3 * 2) of the twin's.
    assert sizes(other)[0] == -(-sizes(student)[0] * 10 // 6)


@pytest.mark.parametrize("strategy", ["simplified_tinybert", "fine_tun", "fine_tune(lists=1)"])
def test_it_has_no_teacher_and_no_typing_errors(twin: Any, strategy: str) -> None:
    with pytest.raises(UserError, match=r"\[twin\] strategy"):
        twin(f"twin.strategy={strategy}")

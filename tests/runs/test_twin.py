"""The label-only twin: the same student, examples and budget, without a teacher."""

from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.experiment import Experiment
from distilkit.runs.reporter import Reporter


@pytest.fixture
def twin(tiny_recipe: Path, tmp_path: Path) -> Any:
    """Return a function from overrides to (the student's experiment, the twin's)."""

    def make(*overrides: str) -> tuple[Experiment, Experiment]:
        processes = OneProcess()
        artifacts = Artifacts(tmp_path / ".artifacts", processes, Reporter(quiet=True))
        student = Experiment(load_recipe(tiny_recipe, list(overrides)), artifacts, processes)
        recipe = student.twin()
        assert recipe is not None
        return student, Experiment(recipe, artifacts, processes)

    return make


def sizes(experiment: Experiment) -> tuple[int, int]:
    """Return the steps of the one stage and the pairs of a step."""
    (job,) = experiment.grid()[0].jobs
    return experiment.stages.size(job)[1], experiment.stages.pairs_per_step(job.stage)


def test_it_takes_as_many_steps_of_as_many_pairs(twin: Any) -> None:
    student, other = twin()
    assert sizes(other) == sizes(student)
    assert other.recipe.strategy["name"] == "fine_tune"
    assert not other.grid()[0].jobs[0].stage.uses_teacher


def test_in_lists_too(twin: Any) -> None:
    student, other = twin(
        "twin.strategy=fine_tune(listwise=1.0)", "train.per_device_train_batch_size=9", "train.negatives=2"
    )
    (job,) = other.grid()[0].jobs
    assert job.stage.examples == "lists"
    assert job.stage.train.per_device_train_batch_size == 3
    assert sizes(other) == sizes(student)


def test_as_much_compute_is_more_steps(twin: Any) -> None:
    student, other = twin("twin.budget=compute")
    # Four layers teach two: a step costs (3 * 2 + 4) / (3 * 2) of the twin's.
    assert sizes(other)[0] == -(-sizes(student)[0] * 10 // 6)


@pytest.mark.parametrize("strategy", ["simplified_tinybert", "fine_tun", "fine_tune(lists=1)"])
def test_it_has_no_teacher_and_no_typing_errors(twin: Any, strategy: str) -> None:
    with pytest.raises(UserError, match=r"\[twin\] strategy"):
        twin(f"twin.strategy={strategy}")

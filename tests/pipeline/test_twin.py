"""The label-only twin: the same student, examples and budget, without a teacher."""

from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.pipeline.budget import drawn_queries
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
        other = twin_of(student)
        assert other is not None
        return student, other

    return make


def sizes(pipeline: Pipeline) -> tuple[int, int]:
    """Return the steps of the one stage and the pairs of a step."""
    (stage,) = pipeline.grid()[0].stages
    steps = stage.steps(pipeline.workspace)
    assert steps is not None
    return steps, stage.pairs_per_step


@pytest.mark.parametrize(
    ("grid", "found"),
    [
        (["grid.train.learning_rate=[1e-3, 2e-3]"], {"train.learning_rate": [1e-3, 2e-3]}),
        (
            ["grid.strategy.temperature=[1, 2, 4]", "train.learning_rate=1e-3"],
            {"train.learning_rate": [1e-3, 2e-3, 5e-4]},
        ),
        (
            ["grid.strategy.temperature=[1, 2]", "stages.fine_tune.learning_rate=4e-3"],
            {"stages.fine_tune.learning_rate": [4e-3, 8e-3]},
        ),
        (
            ["grid.strategy.temperature=[1, 2]", "grid.train.learning_rate=[1e-3, 4e-3]", "grid.train.max_steps=[2]"],
            {"train.learning_rate": [1e-3, 4e-3, 8e-3, 5e-4], "train.max_steps": [2]},
        ),
        (["grid.strategy.temperature=[1, 2]", "twin.grid=shared"], {}),
    ],
)  # fmt: skip
def test_it_is_tuned_over_as_many_settings(twin: Any, grid: list[str], found: dict[str, list[float]]) -> None:
    student, other = twin(*grid)
    assert other.recipe.grid == found
    assert len(other.grid()) == (len(student.grid()) if found else 1)
    assert len({point.stages[-1].key for point in other.grid()}) == len(other.grid())


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


def test_total_compute_adds_the_training_of_the_teacher(twin: Any) -> None:
    student, other = twin("twin.budget=total_compute")
    (teacher,) = student.teacher_chains[0]
    pairs = sizes(student)[0] * sizes(student)[1]
    taught = teacher.steps(student.workspace) * teacher.pairs_per_step
    # In passes of the two-layer student: each of its steps 3 and 2 for the teacher's four layers, the teacher's 3 * 2.
    assert sizes(other)[0] == -(-(pairs * 5 + taught * 6) // (3 * sizes(other)[1]))


def test_the_compute_of_an_ensemble_is_that_of_all_members(twin: Any) -> None:
    ensemble = ("teachers.other.seed=2", 'teacher.models=["teacher", "other"]', "strategy={name = 'standard_kd'}")
    one, two = (twin("twin.budget=total_compute", *sets)[1] for sets in (ensemble[2:], ensemble))
    student, (teacher,) = twin(*ensemble)[0], twin()[0].teacher_chains[0]
    pairs = sizes(student)[0] * sizes(student)[1]
    taught = teacher.steps(student.workspace) * teacher.pairs_per_step
    more = (pairs * 2 + taught * 6) / (3 * sizes(two)[1])
    assert sizes(two)[0] - sizes(one)[0] == pytest.approx(more, abs=1)


def queries(pipeline: Pipeline) -> tuple[str, ...]:
    """Return the training queries of the last stage."""
    found = drawn_queries(pipeline.grid()[0].stages[-1].examples)
    assert found is not None
    return found


def test_it_reads_the_labels_of_student_and_teacher_in_as_many_steps(twin: Any) -> None:
    student, other = twin("train.train_queries=8", "teacher.train.train_queries=9", "teacher.query_seed=5")
    union = {*queries(student), *student.teacher_queries}
    assert len(student.teacher_queries) == 9
    assert 9 < len(union) == len(queries(other))
    assert {*queries(other)} == union
    assert sizes(other) == sizes(student)


def test_the_students_queries_keep_their_negatives_in_the_union(twin: Any) -> None:
    student, other = twin("train.train_queries=8", "teacher.train.train_queries=9", "teacher.query_seed=5")
    own, theirs = (
        one.workspace.value(getattr(found, "examples", found).source)
        for one in (student, other)
        for found in [one.grid()[0].stages[-1].examples]
    )
    assert (theirs.passages[: len(own)] == own.passages).all()


def test_it_reads_the_students_labels_alone_if_asked_to(twin: Any) -> None:
    student, other = twin("train.train_queries=8", "teacher.train.train_queries=9", "twin.queries=student")
    assert queries(other) == queries(student)


def test_a_teacher_that_is_not_fine_tuned_read_no_labels(twin: Any) -> None:
    student, other = twin("train.train_queries=8", "teacher.fine_tune=none")
    assert not student.teacher_queries
    assert queries(other) == queries(student)


def test_the_members_of_an_ensemble_read_one_draw_of_queries(twin: Any) -> None:
    student, _ = twin(
        'teacher.models=["teacher", "other"]',
        "teachers.other.seed=7",
        "teacher.train.train_queries=9",
        "strategy={name = 'standard_kd'}",
    )
    first, second = (drawn_queries(chain[-1].examples) for chain in student.teacher_chains)
    assert first == second
    assert len(student.teacher_queries) == 9


def test_a_teacher_has_no_teachers_queries(twin: Any) -> None:
    with pytest.raises(UserError, match=r"\[teacher.train\] teacher_queries"):
        twin("teacher.train.teacher_queries=true")


@pytest.mark.parametrize("strategy", ["simplified_tinybert", "fine_tun", "fine_tune(lists=1)"])
def test_it_has_no_teacher_and_no_typing_errors(twin: Any, strategy: str) -> None:
    with pytest.raises(UserError, match=r"\[twin\] strategy"):
        twin(f"twin.strategy={strategy}")

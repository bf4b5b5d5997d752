"""Several teachers whose scores are combined, from a recipe to what the student is held against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from settings_given import sets

from distilkit.evaluation.trec import read_run
from distilkit.files import read_json
from distilkit.pipeline.evaluation import combined, total
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.plan import plan
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.suite import members
from distilkit.pipeline.teacher_scores import RankerScores, ScoredExamples
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

MARGIN = ["strategy={name = 'margin_mse'}", "train.negatives=2", "train.max_steps=4", "twin.budget=none"]
ENSEMBLE = """
extends = {base}
name = "ensemble"

[teacher]
models = ["teacher", "second", "shallow"]

[teachers.second]
seed = 2
fine_tune = "fine_tune"

[teachers.shallow]
shape = "L2_H16"
"""


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Path) -> Path:
    path = tiny_recipe.with_name("ensemble.toml")
    path.write_text(ENSEMBLE.format(base=repr(tiny_recipe.name)).replace("'tiny.toml'", '"tiny.toml"'))
    return path


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("ensembles")
    done = cli("run", recipe, "--runs-dir", runs, *sets(*MARGIN))
    assert done.code == 0, done.err
    return runs


def pipeline_of(recipe: Path, runs: Path, *settings: str) -> Pipeline:
    loaded = load_recipe(recipe, [*MARGIN, *settings])
    return Pipeline(loaded, Workspace(runs / ".artifacts", Processes(), Reporter(quiet=True)))


def test_the_student_learns_the_mean_of_three_teachers(finished: Path, recipe: Path) -> None:
    pipeline = pipeline_of(recipe, finished)
    (point,) = pipeline.grid()
    stage, value = point.stages[-1], pipeline.workspace.value
    assert stage.teacher is not None
    assert len({member.key for member in stage.teacher.members}) == 3
    assert isinstance(stage.examples, ScoredExamples)
    assert isinstance(stage.examples.scores, RankerScores)
    examples = value(stage.examples)
    alone = [value(member).of(examples.queries, examples.passages) for member in stage.examples.scores.members]
    np.testing.assert_allclose(examples.targets, np.mean(alone, axis=0), rtol=1e-6)
    assert not np.allclose(alone[0], alone[1])
    assert len(list((finished / ".artifacts" / "scores").iterdir())) == 3


def test_the_ensemble_is_what_the_student_is_held_against(finished: Path, recipe: Path) -> None:
    folder = finished / "ensemble" / "eval" / "test" / "references" / "teacher"
    members = [read_run(path / "run.trec") for path in (finished / ".artifacts" / "ranking").iterdir()]
    assert len(members) == 4, "three teachers and the student"
    members.remove(read_run(finished / "ensemble" / "eval" / "test" / "run.trec"))
    found = {query: dict(ranked) for query, ranked in read_run(folder / "run.trec").items()}
    for query, scores in found.items():
        tables = [dict(run[query]) for run in members]
        for passage, score in scores.items():
            assert score == pytest.approx(np.mean([table[passage] for table in tables]), rel=1e-5)
    costs = [read_json(path / "cost.json") for path in (finished / ".artifacts" / "cost").iterdir()]
    student = read_json(finished / "ensemble" / "eval" / "test" / "cost.json")
    of_teachers = sum(cost["parameters"] for cost in costs) - student["parameters"]
    assert read_json(folder / "cost.json")["parameters"] == of_teachers


def test_a_cut_teacher_has_fewer_layers(finished: Path, recipe: Path) -> None:
    pipeline = pipeline_of(recipe, finished)
    teachers = [chain[-1] for chain in pipeline.teacher_chains]
    folders = [pipeline.workspace.value(teacher) for teacher in teachers]
    assert [read_json(folder / "config.json")["num_hidden_layers"] for folder in folders] == [4, 4, 2]
    assert teachers[2].macs(teachers[2].reader) < teachers[0].macs(teachers[0].reader)


def test_standardising_changes_the_students_key_alone(finished: Path, recipe: Path) -> None:
    one, other = pipeline_of(recipe, finished), pipeline_of(recipe, finished, "teacher.combine=standardised")
    assert one.teacher_chains == other.teacher_chains
    students = [pipeline.grid()[0].stages[-1] for pipeline in (one, other)]
    assert students[0] != students[1]


def test_the_plan_names_each_teacher(finished: Path, recipe: Path) -> None:
    loaded = load_recipe(recipe, MARGIN)
    found = plan(Request(loaded, None, finished))  # type: ignore[arg-type]
    assert [step.what for step in found.steps if "teacher" in step.what] == [
        f"teacher {place}: fine_tune" for place in (1, 2, 3)
    ]
    assert all(step.cached for step in found.steps)


def test_runs_of_models_are_combined_and_their_costs_added() -> None:
    runs = [{"q": [("a", 1.0), ("b", 3.0)]}, {"q": [("b", 10.0), ("a", 30.0)]}]
    assert dict(combined(runs, "mean")["q"]) == {"a": 15.5, "b": 6.5}
    assert dict(combined(runs, "standardised")["q"]) == {"a": 0.0, "b": 0.0}
    cost = {"parameters": 5, "macs_per_pair": 7, "peak_memory_bytes": 9, "depth": 20}
    both = total([cost, {**cost, "peak_memory_bytes": 11}])
    assert both == {
        **cost,
        "parameters": 10,
        "macs_per_pair": 14,
        "peak_memory_bytes": 11,
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["strategy={name = 'simplified_tinybert'}"], "reads more than scores of its teacher; an ensemble"),
        (["teacher.scores=online"], "an ensemble teaches from scores computed before"),
        (
            ["teacher.models=['teacher', 'secnd']"],
            "'secnd' is not a folder here, and the hub cannot be reached (names are",
        ),
        (
            ["teachers.second.fine_tune=none", "teachers.second.shape=L2_H16"],
            "expected [teacher] fine_tune, too, which trains the rest",
        ),
        (
            ["teacher.architecture=bert_dot"],
            "architecture = 'bert_dot': only a bert_cat can be fine-tuned as a teacher; expected no fine_tune",
        ),
        (["teachers.second.models=['teacher']"], "second is an ensemble itself"),
    ],
)
def test_what_an_ensemble_cannot_be(
    recipe: Path, tmp_path: Path, cli: Callable[..., Any], settings: list[str], said: str
) -> None:
    done = cli("run", recipe, "--runs-dir", tmp_path, *sets(*MARGIN, *settings))
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "ensemble").exists()


def test_a_suite_gives_each_teacher_its_name(recipe: Path, tmp_path: Path) -> None:
    table = tmp_path / "suite.toml"
    table.write_text(f"""
extends = "{recipe}"
name = "table"

[teacher]
models = []

[teachers.T2]
models = ["teacher", "second", "shallow"]

[matrix]
strategies = ["margin_mse"]
students = ["bert_dot:L2_H16"]
teachers = ["none", "teacher", "T2"]
seeds = [1]
""")
    runs = members(load_recipe(table))
    assert [run.teacher for run in runs] == ["none", "teacher", "T2"]
    workspace = Workspace(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True))
    keys = [[chain[-1].key for chain in Pipeline(run.recipe, workspace).teacher_chains] for run in (runs[1], runs[-1])]
    assert len(keys[1]) == 3
    assert keys[0] == keys[1][:1], "the teacher is trained once for both"

"""Several teachers whose scores are combined, from a recipe to what the student is held against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilkit.evaluation.trec import read_run
from distilkit.files import read_json
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.execute import Request
from distilkit.runs.experiment import Experiment
from distilkit.runs.plan import plan
from distilkit.runs.references import combined, total
from distilkit.runs.reporter import Reporter
from distilkit.runs.suite import members
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


def words(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Path) -> Path:
    path = tiny_recipe.with_name("ensemble.toml")
    path.write_text(ENSEMBLE.format(base=repr(tiny_recipe.name)).replace("'tiny.toml'", '"tiny.toml"'))
    return path


@pytest.fixture(scope="module")
def finished(recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("ensembles")
    done = cli("run", recipe, "--runs-dir", runs, *words(MARGIN))
    assert done.code == 0, done.err
    return runs


def experiment_of(recipe: Path, runs: Path, *settings: str) -> Experiment:
    processes = Processes()
    loaded = load_recipe(recipe, [*MARGIN, *settings])
    return Experiment(loaded, Artifacts(runs / ".artifacts", processes, Reporter(quiet=True)), processes)


def test_the_student_learns_the_mean_of_three_teachers(finished: Path, recipe: Path) -> None:
    experiment = experiment_of(recipe, finished)
    (point,) = experiment.grid()
    job = point.jobs[-1]
    assert job.teacher is not None
    assert len({member.identity for member in job.teacher.members}) == 3
    examples = experiment.stages._task.training_set(job)
    alone = [
        experiment.stages.targets.of(type(job.teacher)((member,)), examples.queries, examples.passages)
        for member in job.teacher.members
    ]
    np.testing.assert_allclose(examples.targets, np.mean(alone, axis=0), rtol=1e-6)
    assert not np.allclose(alone[0], alone[1])
    assert len(list((finished / ".artifacts" / "scores").iterdir())) == 3


def test_the_ensemble_is_what_the_student_is_held_against(finished: Path, recipe: Path) -> None:
    folder = finished / "ensemble" / "eval" / "test" / "references" / "teacher"
    members = [read_run(path / "run.trec") for path in (finished / ".artifacts" / "reference").iterdir()]
    assert len(members) == 3
    found = {query: dict(ranked) for query, ranked in read_run(folder / "run.trec").items()}
    for query, scores in found.items():
        tables = [dict(run[query]) for run in members]
        for passage, score in scores.items():
            assert score == pytest.approx(np.mean([table[passage] for table in tables]), rel=1e-5)
    costs = [read_json(path / "cost.json") for path in (finished / ".artifacts" / "reference").iterdir()]
    assert read_json(folder / "cost.json")["parameters"] == sum(cost["parameters"] for cost in costs)


def test_a_cut_teacher_has_fewer_layers(finished: Path, recipe: Path) -> None:
    experiment = experiment_of(recipe, finished)
    layers = [
        read_json(experiment.stages.planned(chain[-1]).folder / "config.json")["num_hidden_layers"]
        for chain in experiment.teacher_chains
    ]
    assert layers == [4, 4, 2]
    assert experiment.teacher_macs()[2] < experiment.teacher_macs()[0]


def test_standardising_changes_the_students_key_alone(finished: Path, recipe: Path) -> None:
    one, other = experiment_of(recipe, finished), experiment_of(recipe, finished, "teacher.combine=standardised")
    keys = [[experiment.stages.artifact(job).key for job in experiment.teacher_jobs()] for experiment in (one, other)]
    assert keys[0] == keys[1]
    students = [experiment.stages.artifact(experiment.grid()[0].jobs[-1]).key for experiment in (one, other)]
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
    cost = {"parameters": 5, "macs_per_pair": 7, "ms_per_query": {"p50": 2.0}, "peak_memory_bytes": 9, "depth": 20}
    both = total([cost, {**cost, "peak_memory_bytes": 11}])
    assert both == {
        **cost,
        "parameters": 10,
        "macs_per_pair": 14,
        "ms_per_query": {"p50": 4.0},
        "peak_memory_bytes": 11,
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["strategy={name = 'simplified_tinybert'}"], "reads more than scores of its teacher; an ensemble"),
        (["teacher.scores=online"], "an ensemble teaches from scores computed before"),
        (
            ["teacher.models=['teacher', 'secnd']"],
            "'secnd' is no folder here, and the hub cannot be reached (names are",
        ),
        (["teachers.second.fine_tune=none", "teachers.second.shape=L2_H16"], "expected a fine_tune that mends it"),
        (["teacher.architecture=bert_dot"], "only a bert_cat teaches in a run"),
        (["teachers.second.models=['teacher']"], "second is an ensemble itself"),
    ],
)
def test_what_an_ensemble_cannot_be(
    recipe: Path, tmp_path: Path, cli: Callable[..., Any], settings: list[str], said: str
) -> None:
    done = cli("run", recipe, "--runs-dir", tmp_path, *words([*MARGIN, *settings]))
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
""")
    runs = members(load_recipe(table))
    assert [run.teacher for run in runs] == ["none", "teacher", "T2"]
    last = Experiment(
        runs[-1].recipe, Artifacts(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True)), OneProcess()
    )
    alone = Experiment(
        runs[1].recipe, Artifacts(tmp_path / ".artifacts", OneProcess(), Reporter(quiet=True)), OneProcess()
    )
    keys = [[one.stages.artifact(job).key for job in one.teacher_jobs()] for one in (alone, last)]
    assert len(keys[1]) == 3
    assert keys[0] == keys[1][:1], "the teacher is trained once for both"

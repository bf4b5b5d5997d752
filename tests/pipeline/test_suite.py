"""A suite from its recipe to its tables: what is shared, what is repeated, what is refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.comparison.reports import suite_report
from distilkit.errors import UserError
from distilkit.files import write_json
from distilkit.manifest import SEAL, damage, sealed
from distilkit.pipeline.forecast import Forecast, missing
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.suite import members
from distilkit.pipeline.trained_stage import StartingStudent
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import OneProcess
from distilkit.recipe import load_recipe

MATRIX = """
general_seed = 1
grid_fraction = 0.5

[matrix]
strategies = ["fine_tune", "standard_kd(general=true)", "tinybert", "tinybert(one_step=true)"]
students = ["bert_cat:L2_H16:first_layers", "bert_cat:L1_H8:random"]
seeds = [1]
shared = { weights = { attention = 0.5 } }

[general]
max_length = 16

[stages.general]
max_steps = 2

[grid]
"standard_kd.alpha" = [0.2, 0.8]

[report]
baselines = ["teacher:B", "tinybert:T"]
"""


@pytest.fixture(scope="module")
def suite_recipe(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny recipe as a suite of four strategies and two students."""
    text = tiny_recipe.read_text().replace('name = "tiny"\n', 'name = "suite"\n' + MATRIX.split("[matrix]")[0])
    text = text.replace('[strategy]\nname = "simplified_tinybert"\n', "")
    path = tmp_path_factory.mktemp("suite") / "suite.toml"
    path.write_text(text + "[matrix]" + MATRIX.split("[matrix]")[1])
    return path


@pytest.fixture(scope="module")
def finished(suite_recipe: Path, tmp_path_factory: pytest.TempPathFactory, cli: Callable[..., Any]) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("distilkit.pipeline.probe.SHORT", 0.0)  # so that the rates of so short stages are measured
        done = cli("run", suite_recipe, "--runs-dir", runs)
    assert done.code == 0, done.err
    assert "tinybert(one_step=true)" in done.out
    said_of(runs).write_text(done.err)
    return runs


def said_of(runs: Path) -> Path:
    """Return the file with what the run of the suite said."""
    return runs.with_suffix(".said")


def stages_of(runs: Path) -> list[dict[str, Any]]:
    manifests = (runs / ".artifacts" / "stage").glob("*/manifest.json")
    return [json.loads(path.read_text())["made_of"] for path in manifests]


@pytest.mark.slow
def test_every_combination_is_a_run(finished: Path) -> None:
    suite = json.loads((finished / "suite" / "suite.json").read_text())
    assert len(suite["runs"]) == 8
    for run in suite["runs"]:
        folder = finished / run["name"]
        assert json.loads((folder / "status.json").read_text())["state"] == "done"
        assert (folder / "eval" / "test" / "run.trec").exists()
    assert not list(finished.glob("suite/*label_only*"))


def test_what_runs_share_is_trained_once(finished: Path) -> None:
    names = [made["stage"]["name"] for made in stages_of(finished)]
    assert names.count("general") == 2  # one for each student, whichever the strategy
    assert names.count("intermediate") == 2
    assert names.count("distil") == 2
    assert names.count("fine_tune") == 2
    # tinybert's, and standard_kd's: two trials and the chosen one in full, for each student.
    assert names.count("prediction") == 2 + 2 * 3
    assert len(list((finished / ".artifacts" / "teacher").iterdir())) == 1
    assert len(list((finished / ".artifacts" / "scores").iterdir())) == 1  # of one set of pairs


def test_the_chosen_grid_point_is_trained_in_full(finished: Path) -> None:
    (run,) = (finished / "suite").glob("standard_kd*L2_H16*")
    grid = json.loads((run / "grid.json").read_text())
    assert [one["values"] for one in grid["tried"]] == [{"strategy.alpha": 0.2}, {"strategy.alpha": 0.8}]
    assert grid["fraction"] == 0.5
    steps = sorted(
        made["stage"]["train"]["max_steps"] or 0
        for made in stages_of(finished)
        if made["stage"]["name"] == "prediction"
    )
    assert steps == [0, 0, 0, 0, 8, 8, 8, 8]  # 16 steps in full, half of them in a trial
    assert run.joinpath("eval/test/cost.json").exists()
    spent = json.loads((run / "eval" / "test" / "cost.json").read_text())
    assert set(spent["training_seconds"]) == {"general", "prediction"}
    assert spent["grid_seconds"] > 0


def test_all_members_are_timed_together_at_the_end(finished: Path) -> None:
    costs = [json.loads(path.read_text()) for path in finished.glob("suite/*/eval/test/cost.json")]
    teachers = [
        json.loads(path.read_text()) for path in finished.glob("suite/*/eval/test/references/teacher/cost.json")
    ]
    assert len(costs) == len(teachers) == 8
    assert len({one["latency"]["session"] for one in (*costs, *teachers)}) == 1
    # Two students and one teacher are what is timed, however many runs they are.
    assert len({tuple(one["latency"]["own_ms"]) for one in costs}) == 2
    assert {tuple(one["latency"]["own_ms"]) for one in teachers} == {tuple(costs[0]["latency"]["beside_ms"])}
    assert not (finished / "suite" / "latency.lock").exists()
    assert all(damage(path) is None for path in finished.glob("suite/*/eval/test"))


def test_reused_stages_bring_their_events(finished: Path) -> None:
    (run,) = (finished / "suite").glob("tinybert+one_step*L2_H16*")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    general = [event for event in events if event["stage"] == "general"]
    assert general
    assert all(event["reused"] for event in general)
    assert {"attention", "hidden", "embedding"} <= set(general[0]["values"])
    assert not any("reused" in event for event in events if event["stage"] == "distil")


def test_it_ends_in_one_table_for_each_student(finished: Path, cli: Callable[..., Any], suite_recipe: Path) -> None:
    before = {path: path.read_bytes() for path in finished.glob("suite/*/eval/test/cost.json")}
    done = cli("run", suite_recipe, "--runs-dir", finished, "--resume", "auto", "--json")
    assert done.code == 0, done.err
    assert before == {path: path.read_bytes() for path in before}  # timed before
    tables = json.loads(done.out)["students"]
    assert set(tables) == {"bert_cat:L2_H16:first_layers", "bert_cat:L1_H8:random"}
    for table in tables.values():
        assert table["baselines"] == ["teacher", "tinybert"]
        assert {"bm25", "teacher", "fine_tune", "tinybert(one_step=true)"} <= {one["name"] for one in table["systems"]}


def test_or_in_one_table_of_all_students(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "runs", symlinks=True)
    path = tmp_path / "runs" / "suite" / "suite.json"
    suite = json.loads(path.read_text())
    suite["report"]["one_table"] = True
    del suite[SEAL]
    write_json(path, sealed(suite))
    (table,) = json.loads(suite_report(path.parent, "json"))["students"].values()
    names = {one["name"] for one in table["systems"]}
    assert {"fine_tune, bert_cat:L2_H16:first_layers", "fine_tune, bert_cat:L1_H8:random", "teacher", "bm25"} <= names
    assert len(names) == 8 + 2 + 2  # runs, references, and the ceiling and chance of the candidates
    assert "suite, all students" in suite_report(path.parent, "text")


def test_strategies_are_left_out_for_students_that_cannot_learn_by_them(suite_recipe: Path) -> None:
    recipe = load_recipe(suite_recipe, ['matrix.only={standard_kd = ["colbert"], tinybert = ["cross_encoder"]}'])
    assert {member.recipe.strategy["name"] for member in members(recipe)} == {"fine_tune", "tinybert"}


def test_a_suite_is_compared_by_its_name(finished: Path, cli: Callable[..., Any]) -> None:
    done = cli("compare", "suite", "--runs-dir", finished, "--json")
    assert done.code == 0, done.err
    kinds = [one["kind"] for one in json.loads(done.out)["systems"] if one["measure"] == "nDCG@10"]
    assert len(kinds) == 12
    assert kinds[-2:] == ["ceiling", "chance"]


def test_a_suite_is_not_run_over(finished: Path, cli: Callable[..., Any], suite_recipe: Path) -> None:
    done = cli("run", suite_recipe, "--runs-dir", finished)
    assert done.code == 2
    assert "continue it with --resume auto" in done.err


def test_a_plan_tells_what_is_shared(suite_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    done = cli("run", suite_recipe, "--runs-dir", tmp_path, "--dry-run")
    assert done.code == 0, done.err
    assert done.out.count("shared") == 2 * 2 + 7  # general stages, and the teacher, when met again
    assert "suite suite: 8 runs" in done.out


def test_a_suite_says_how_long_the_rest_takes(finished: Path) -> None:
    found = re.findall(r"suite: suite/\S+ \((\d) of 8(?:; about (.+) left for all)?\)", said_of(finished).read_text())
    assert [number for number, _ in found] == list("12345678")
    assert not found[0][1]  # before anything was measured
    assert all(left for _, left in found[1:])


def test_a_plan_tells_how_long_what_is_missing_takes(
    finished: Path, suite_recipe: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    def planned(*words: str) -> tuple[float, dict[str, Any]]:
        done = cli("run", suite_recipe, "--runs-dir", runs, "--name", "planned", "--dry-run", *words)
        shown = re.search(r", about (.+) with all tests; this is a plan", done.out)
        told = json.loads(
            cli("run", suite_recipe, "--runs-dir", runs, "--name", "p", "--dry-run", "--json", *words).out
        )
        assert (shown is None) == (not told["seconds"])
        return told["seconds"], told

    runs = tmp_path / "unmeasured"
    assert planned()[0] is None
    runs = finished
    assert planned()[0] == 0
    one, told = planned("--set", "matrix.seeds=[2]")
    three, _ = planned("--set", "matrix.seeds=[2, 3, 4]")
    assert told["jobs"] == 1
    assert 0 < one < three < 3.01 * one
    # General distillation, which is there, and what several runs share are counted once.
    workspace = Workspace(runs / ".artifacts", OneProcess(), Reporter(quiet=True))
    forecast, apart, found = Forecast(workspace), 0.0, members(load_recipe(suite_recipe, ["matrix.seeds=[2]"]))
    for member in found:
        pipeline = Pipeline(member.recipe, workspace)
        forecast.add(pipeline, twin_of(pipeline))
        apart += sum(node.work(workspace) for node in missing(pipeline))
    assert forecast.seconds() == pytest.approx(one)
    assert apart > one
    names = [member.recipe.name for member in found]
    assert forecast.seconds_left(names) > forecast.seconds_left(names[:1]) > forecast.seconds_left([]) == 0


def test_a_plan_builds_each_student_once(
    suite_recipe: Path, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []
    build = StartingStudent.value

    def counted(start: StartingStudent, workspace: Workspace) -> Any:
        built.append(start.key)
        return build(start, workspace)

    monkeypatch.setattr(StartingStudent, "value", counted)
    assert cli("run", suite_recipe, "--runs-dir", tmp_path, "--dry-run").code == 0
    assert len(built) == len(set(built)) == 3  # two students, and the teacher that is fine-tuned


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrix.strategies": ["tinybret"]}, "no strategy is called 'tinybret'; did you mean 'tinybert'?"),
        ({"matrix.teachers": ["T1"]}, r"there is no \[teachers.T1\]"),
        (
            {"matrix.shared": {"wieghts": {}}},
            "has the key 'wieghts'; did you mean 'weights'?",
        ),
        ({"matrix.students": ["bert_cat:huge"]}, "expected layers and hidden size"),
        ({"name": "a/b"}, "expected one without a slash"),
        ({"matrix.only": {"tinybret": ["bert_cat"]}}, "only: 'tinybret' is not a strategy of the matrix; did you mean"),
        (
            {"matrix.only": {"tinybert": ["bert_kat"]}},
            "only.tinybert: no student architecture is called 'bert_kat'; did you mean",
        ),
    ],
)
def test_what_is_wrong_with_a_matrix(suite_recipe: Path, change: dict[str, Any], message: str) -> None:
    recipe = load_recipe(suite_recipe)
    table = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for dotted, value in change.items():
        section, _, key = dotted.rpartition(".")
        (table[section] if section else table)[key] = value
    with pytest.raises(UserError, match=message):
        members(type(recipe).model_validate(table))


def test_there_are_three_seeds_where_none_is_named(suite_recipe: Path) -> None:
    recipe = load_recipe(suite_recipe, ["seed=5"])
    assert recipe.matrix is not None
    unnamed = recipe.model_copy(update={"matrix": recipe.matrix.model_copy(update={"seeds": None})})
    assert sorted({member.seed for member in members(unnamed)}) == [5, 6, 7]
    assert len(members(unnamed)) == 3 * len(members(recipe))
    assert {member.seed for member in members(recipe)} == {1}


def test_layers_are_not_copied_across_widths(suite_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    students = 'matrix.students=["bert_cat:L1_H8:first_layers"]'
    done = cli("run", suite_recipe, "--runs-dir", tmp_path, "--set", students)
    assert done.code == 2
    assert "start = 'first_layers' copies layers, so the student's hidden size must be the source's" in done.err
    assert not (tmp_path / "suite").exists()


def test_rows_of_labels_alone_read_the_labels_behind_the_others(suite_recipe: Path) -> None:
    def reads(*changes: str) -> dict[str, bool]:
        found = members(load_recipe(suite_recipe, ["matrix.seeds=[1]", *changes]))
        return {f"{one.strategy}, {one.teacher}": one.recipe.train.teacher_queries for one in found}

    both = 'matrix.teachers=["none", "teacher"]'
    found = reads(both)
    assert {told.endswith(", none") for told, more in found.items() if more} == {True}
    assert not any(more for told, more in found.items() if told.endswith(", teacher"))
    for changes in (
        (both, "twin.queries=student"),
        ('matrix.teachers=["none"]',),
        (both, "train.teacher_queries=false"),
    ):
        assert not any(reads(*changes).values())


def test_without_a_teacher_a_strategy_is_the_label_only_one(suite_recipe: Path) -> None:
    recipe = load_recipe(suite_recipe, ['matrix.teachers=["none", "teacher"]', "matrix.seeds=[1, 2]"])
    names = [member.recipe.name for member in members(recipe)]
    label_only = [member for member in members(recipe) if member.teacher == "none"]
    assert len(names) == len(set(names)) == 2 * 2 * 4  # students, seeds, fine_tune and three with a teacher
    assert {member.recipe.strategy["name"] for member in label_only} == {"fine_tune"}

"""`distilkit.run`, `plan` and `runs` on a recipe that trains in seconds, and what a Run tells of it."""

import json
import threading
import tomllib
from pathlib import Path

import pytest

import distilkit
from distilkit import UserError
from distilkit.api.runs import _override

NAMES = ("corpus", "queries")


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api") / "runs"


@pytest.fixture(scope="module")
def finished(tiny_recipe: Path, runs_dir: Path) -> distilkit.Run:
    found = distilkit.run(tiny_recipe, name="first", runs_dir=runs_dir, quiet=True)
    assert isinstance(found, distilkit.Run)
    return found


def test_a_run_tells_what_came_out(finished: distilkit.Run) -> None:
    assert (finished.name, finished.state) == ("first", "done")
    assert finished.recipe["name"] == "first"
    assert set(finished.measures) == {"nDCG@10", "RR@10"}
    values = finished.per_query["nDCG@10"]
    assert sum(values.values()) / len(values) == pytest.approx(finished.measures["nDCG@10"])
    assert finished.measures_on(system="bm25") != {}
    assert finished.measures_on(system="teacher") != {}
    assert finished.sets == ["test"]
    assert finished.cost.parameters
    assert finished.curve
    assert {one["stage"] for one in finished.curve} == {"distil"}, "the teacher has a curve of its own"
    assert (finished.resolved["train"]["labels"], finished.recipe.get("matrix")) == ("judgements", None)
    assert "distil" in distilkit.plan(finished.recipe, name="again", runs_dir=finished.path.parent).to_text()
    assert finished.twin is not None
    assert finished.twin.name == "first-label_only"
    assert finished.trec_run.is_file()
    assert finished.model.architecture == "bert_cat"
    assert "done" in repr(finished)
    with pytest.raises(UserError, match="dev"):
        finished.measures_on("dev")
    with pytest.raises(UserError, match="bm52"):
        finished.measures_on(system="bm52")


def test_runs_are_listed_found_loaded_and_compared_by_name(finished: distilkit.Run, runs_dir: Path) -> None:
    assert [one.name for one in distilkit.runs(runs_dir)] == ["first", "first-label_only"]
    assert distilkit.open_run("first", runs_dir).path == finished.path
    with pytest.raises(UserError, match="first"):
        distilkit.open_run("frist", runs_dir)
    assert distilkit.load("first", runs_dir=runs_dir).lengths == finished.model.lengths
    by_name = distilkit.compare(["first"], runs_dir=runs_dir)
    assert by_name.result.names == ("bm25", "teacher", "first-label_only", "first")
    assert finished.compare(baseline="teacher").result.baselines == ("teacher",)
    assert distilkit.compare({"mine": finished}).result.names[-1] == "mine"


def test_a_finished_run_is_returned_as_it_is_and_not_overwritten(
    tiny_recipe: Path, finished: distilkit.Run, runs_dir: Path
) -> None:
    again = distilkit.run(tiny_recipe, name="first", runs_dir=runs_dir, resume=True, quiet=True)
    assert isinstance(again, distilkit.Run)
    assert again.measures == finished.measures
    with pytest.raises(UserError, match="first"):
        distilkit.run(tiny_recipe, name="first", runs_dir=runs_dir, quiet=True)


def test_a_table_a_recipe_and_a_file_are_the_same_run(tiny_recipe: Path, runs_dir: Path) -> None:
    table = tomllib.loads(tiny_recipe.read_text())
    plans = [
        distilkit.plan(recipe, name="other", set={"train.learning_rate": 2e-4}, runs_dir=runs_dir).to_json()
        for recipe in (tiny_recipe, table, distilkit.Recipe.model_validate(table))
    ]
    assert plans[0] == plans[1] == plans[2]
    assert plans[0]["recipe"]["train"]["learning_rate"] == 2e-4
    assert table == tomllib.loads(tiny_recipe.read_text())  # the caller's table is as it was


def test_data_replaces_the_collection(tiny_recipe: Path, tiny_beir: Path, runs_dir: Path) -> None:
    for data in (tiny_beir, f"beir:{tiny_beir}"):
        planned = distilkit.plan(tiny_recipe, data=data, runs_dir=runs_dir).to_json()
        assert planned["recipe"]["data"]["source"] == "beir"
        assert planned["recipe"]["data"]["path"] == str(tiny_beir)
    with pytest.raises(UserError, match="nowhere"):
        distilkit.plan(tiny_recipe, data="nowhere", runs_dir=runs_dir)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train.learning_rat": 1}, "learning_rate"),
        ({"train.learning_rate": object()}, "not a value of a recipe"),
        ({"train.learning_rate": "high"}, "number"),
    ],
)
def test_wrong_keys_and_values_are_said(
    tiny_recipe: Path, runs_dir: Path, changed: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        distilkit.plan(tiny_recipe, set=changed, runs_dir=runs_dir)


def test_wrong_tables_are_said_without_a_file(runs_dir: Path) -> None:
    with pytest.raises(UserError, match=r"the recipe: .*strateg"):
        distilkit.plan({"name": "x", "strategies": {}}, runs_dir=runs_dir)


def test_values_of_every_kind_come_through(tiny_recipe: Path, runs_dir: Path) -> None:
    changed = {"evaluate.measures": ["nDCG@5", "RR@10"], "train.bf16": False, "description": 'a "quoted" \\ text'}
    found = distilkit.plan(tiny_recipe, set=changed, runs_dir=runs_dir).to_json()["recipe"]
    assert found["evaluate"]["measures"] == ["nDCG@5", "RR@10"]
    assert found["train"]["bf16"] is False
    assert found["description"] == 'a "quoted" \\ text'


def test_it_works_in_a_thread_as_notebooks_have_them(
    tiny_recipe: Path, finished: distilkit.Run, runs_dir: Path
) -> None:
    found: list[object] = []

    def work() -> None:
        found.append(distilkit.run(tiny_recipe, name="second", runs_dir=runs_dir, quiet=True))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0], distilkit.Run)
    assert found[0].measures == finished.measures


def test_a_collection_in_memory_is_trained_on_as_its_folder_is(
    tiny_recipe: Path, tiny_beir: Path, finished: distilkit.Run, runs_dir: Path
) -> None:
    rows = {
        name: [json.loads(line) for line in (tiny_beir / f"{name}.jsonl").read_text().splitlines()] for name in NAMES
    }
    texts = {name: {row["_id"]: row["text"] for row in found} for name, found in rows.items()}
    qrels: dict[str, dict[str, dict[str, int]]] = {}
    for file in (tiny_beir / "qrels").glob("*.tsv"):
        for line in file.read_text().splitlines()[1:]:
            query, passage, grade = line.split("\t")
            qrels.setdefault(file.stem, {}).setdefault(query, {})[passage] = int(grade)
    collection = distilkit.Collection.from_dicts(texts["corpus"], texts["queries"], qrels)
    found = distilkit.run(tiny_recipe, data=collection, name="memory", runs_dir=runs_dir, quiet=True)
    assert isinstance(found, distilkit.Run)
    assert found.measures == finished.measures
    assert found.per_query == finished.per_query


def test_tables_keep_keys_with_dots_and_signs() -> None:
    table = {"train.learning_rate": [1e-4, 2e-4], "a key": {"plain-key": Path("a/b")}, "none": None}
    written = tomllib.loads(_override("grid", table))
    assert written == {"grid": {"train.learning_rate": [1e-4, 2e-4], "a key": {"plain-key": "a/b"}, "none": "none"}}


def test_a_folder_that_is_not_a_runs_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        distilkit.Run(tmp_path)
    assert str(error.value) == f"{tmp_path} is not a run's folder: expected the file run.json in it"

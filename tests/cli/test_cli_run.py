"""`distilkit run` from end to end: the plan, the folder it leaves, resuming, names and seeds."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.manifest import SEAL, damage, sealed
from distilkit.recipe import load_recipe
from distilkit.strategies import strategy_from_table

Cli = Callable[..., Any]

EVALUATION = {"run.trec", "per_query.csv", "measures.json", "cost.json", "ir-metadata.yml", "manifest.json"}
WEIGHTS = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
MODEL = {f"model/{name}" for name in ("README.md", "manifest.json", *WEIGHTS)}
COMMON = {"run.json", "artifacts.json", "status.json", "events.jsonl", "log.txt", "run.lock", *MODEL}
STUDENT = {f"eval/test/{name}" for name in (*EVALUATION, "qrels.tsv")}
REFERENCES = {f"eval/test/references/{system}/{name}" for system in ("bm25", "teacher") for name in EVALUATION}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def artifacts(runs: Path) -> dict[str, int]:
    """Return every artifact and when it was finished."""
    manifests = (runs / ".artifacts").glob("*/*/manifest.json")
    return {f"{path.parent.parent.name}/{path.parent.name}": path.stat().st_mtime_ns for path in manifests}


def test_a_run_leaves_exactly_these_files(finished: Any) -> None:
    assert {path.name for path in finished.runs.iterdir()} == {".artifacts", "tiny", "tiny-label_only"}
    assert files(finished.run) == COMMON | STUDENT | REFERENCES
    assert files(finished.twin) == COMMON | STUDENT
    kinds = {name.split("/")[0] for name in artifacts(finished.runs)}
    assert kinds == {"collection", "candidates", "tokens", "teacher", "stage", "ranking", "cost"}
    leftovers = [name for name in files(finished.runs / ".artifacts") if name.endswith(".lock") or "/." in name]
    assert leftovers == []


def test_weights_are_stored_once_and_what_people_edit_is_the_runs_own(finished: Any) -> None:
    (stage,) = (
        path.parent
        for path in (finished.runs / ".artifacts" / "stage").glob("*/model/model.safetensors")
        if path.samefile(finished.run / "model" / "model.safetensors")
    )
    assert (stage / "README.md").read_bytes() != (finished.run / "model" / "README.md").read_bytes()
    for name in ("config.json", "tokenizer.json"):
        assert (stage / name).read_bytes() == (finished.run / "model" / name).read_bytes()
        assert not (stage / name).samefile(finished.run / "model" / name)


def test_a_run_ends_in_its_table(finished: Any) -> None:
    text = finished.outcome.out
    assert text.startswith("tiny on tiny, query set test\n")
    for name in ("BM25", "teacher", "tiny · label-only", "tiny"):
        assert any(line.startswith(f"{name}  ") for line in text.splitlines()), name
    assert text.rstrip().endswith(f"Run folder: {finished.run}")
    # What is said on the way goes to the other stream, one plain line after the other.
    said = finished.outcome.err
    order = ["measured: bm25: RR@10 ", "teacher: fine_tune: ", "measured: teacher: ", "student: distil: 16/16"]
    order += ["measured: tiny: ", "label-only: fine_tune: 16/16", "measured: tiny-label_only: "]
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)
    assert "\x1b" not in finished.outcome.out + finished.outcome.err


def test_the_record_of_a_run(finished: Any, tiny_recipe: Path) -> None:
    record = read(finished.run / "run.json")
    assert set(record) == {
        "name", "strategy", "student", "seed", "twin", "twin_of", "overrides", "recipe", "resolved", "data", "argv",
        "created", "versions", "git", "host", "boot_id", "precision", "content", "plugins", "hash",
    }  # fmt: skip
    expected = {"name": "tiny", "strategy": "simplified_tinybert", "student": "bert_cat:L2_H16", "seed": 1}
    assert {key: record[key] for key in expected} == expected
    assert (record["twin"], record["twin_of"], record["overrides"]) == ("tiny-label_only", None, [])
    assert record["resolved"]["train"]["weight_decay"] == 0.01
    assert record["resolved"]["strategy"]["weights"]["attention"] == 1.0
    assert "weight_decay" not in record["recipe"]["train"]
    assert set(record["data"]) == {"name", "fingerprint", "info", "notes"}
    assert record["precision"] == {"training": "fp32", "evaluation": "fp32", "auto": None}
    assert len(record["data"]["fingerprint"]) == 64
    assert {"distilkit", "python", "torch", "transformers"} <= set(record["versions"])
    assert record["argv"][:2] == ["run", str(tiny_recipe)]
    twin = read(finished.twin / "run.json")
    assert (twin["name"], twin["twin"], twin["twin_of"]) == ("tiny-label_only", None, "tiny")
    assert twin["strategy"] == "fine_tune"
    assert twin["resolved"]["train"] == record["resolved"]["train"]
    assert twin["data"] == record["data"]


def test_the_state_of_a_finished_run(finished: Any) -> None:
    for folder in (finished.run, finished.twin):
        status = read(folder / "status.json")
        assert status["state"] == "done"
        assert status["exit"] == {"code": 0}
        assert (status["step"], status["total"]) == (16, 16)
        assert {"pid", "pid_start", "hb_t", "expect_next_s", "values", "validation"} <= set(status)
    assert set(read(finished.twin / "status.json")["values"]) == {"loss", "hard", "learning_rate"}


@pytest.mark.parametrize("place", ["", "references/bm25", "references/teacher"])
def test_the_evaluation_agrees_with_itself(finished: Any, place: str) -> None:
    folder = finished.run / "eval" / "test" / place
    measures = read(folder / "measures.json")
    assert set(measures) == {"set", "n", "measures", "policy"}
    assert (measures["set"], measures["n"], list(measures["measures"])) == ("test", 8, ["RR@10", "nDCG@10"])
    assert set(measures["policy"]) == {"order", "n", "missing", "unjudged", "own"}
    with (folder / "per_query.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["query_id", "RR@10", "nDCG@10"]
    assert [row["query_id"] for row in rows] == sorted(f"q{number}" for number in range(26, 34))
    for name, mean in measures["measures"].items():
        assert mean == math.fsum(float(row[name]) for row in rows) / len(rows)
    lines = [line.split() for line in (folder / "run.trec").read_text().splitlines()]
    assert {len(line) for line in lines} == {6}
    assert {line[0] for line in lines} == {row["query_id"] for row in rows}


def test_the_cost_of_a_run(finished: Any) -> None:
    cost = read(finished.run / "eval/test/cost.json")
    assert set(cost) == {
        "parameters", "weight_bytes", "macs_per_pair", "length", "ms_per_query", "depth", "batch_size",
        "peak_memory_bytes", "bytes_per_document", "training_seconds", "teacher_seconds", "grid_seconds", "budget",
        "machine", "latency",
    }  # fmt: skip
    assert set(cost["ms_per_query"]) == {"p50", "p95", "p99"}
    assert set(cost["latency"]) == {"session", "own_ms", "beside_ms"}
    assert cost["depth"] == 10
    assert set(cost["training_seconds"]) == {"distil"}
    assert cost["teacher_seconds"] > 0
    assert cost["machine"]["threads"] >= 1
    teacher = read(finished.run / "eval/test/references/teacher/cost.json")
    assert teacher["parameters"] > cost["parameters"] > 0
    assert teacher["macs_per_pair"] == 2 * cost["macs_per_pair"]
    assert read(finished.run / "eval/test/references/bm25/cost.json")["macs_per_pair"] == 0


def test_what_a_run_shows_is_timed_together_in_one_session(finished: Any) -> None:
    home = finished.run / "eval/test"
    places = (home, home / "references/teacher", finished.twin / "eval/test")
    student, teacher, twin = (read(place / "cost.json") for place in places)
    assert {one["latency"]["session"] for one in (student, teacher, twin)} == {student["latency"]["session"]}
    assert student["latency"]["beside_ms"] == twin["latency"]["beside_ms"] == teacher["latency"]["own_ms"]
    assert student["latency"]["own_ms"] == twin["latency"]["own_ms"]  # one student, trained in two ways
    assert student["machine"] == teacher["machine"] == twin["machine"]
    assert {"host", "cpu", "cores", "threads", "device"} <= set(student["machine"])
    assert not any("ms_per_query" in read(path) for path in finished.runs.glob(".artifacts/cost/*/cost.json"))
    for place in places:
        assert damage(place) is None
    assert f"p50 {student['ms_per_query']['p50']:.1f}" in (finished.twin / "model" / "README.md").read_text()


def test_the_events_hold_unweighted_terms(finished: Any, tiny_recipe: Path) -> None:
    events = [json.loads(line) for line in (finished.run / "events.jsonl").read_text().splitlines()]
    assert all(set(event) == {"v", "t", "step", "kind", "stage", "key", "values"} for event in events)
    assert all(event["v"] == 1 for event in events)
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    trained = [event for event in events if event["kind"] == "train" and event["stage"] == "distil"]
    assert [event["step"] for event in trained] == [5, 10, 15, 16]
    recipe = load_recipe(tiny_recipe)
    (stage,) = strategy_from_table(recipe.strategy).stages(recipe.train, 1)
    for event in trained:
        values = event["values"]
        assert set(values) == {"loss", "learning_rate", "attention", "hidden", "embedding", "soft", "hard"}
        total = sum(term.weight * values[term.name] for term in stage.terms)
        assert values["loss"] == pytest.approx(total, rel=1e-5)
    assert {event["stage"] for event in events if event["kind"] == "validation"} == {"fine_tune", "distil"}


def test_weighted_terms_add_up_to_the_loss(cli: Cli, tiny_recipe: Path, tmp_path: Path) -> None:
    weights = "strategy.weights={attention=0.25, hidden=3, embedding=0, soft=0.5, hard=2}"
    options = [
        "--set",
        weights,
        "--set",
        "twin.budget=none",
        "--set",
        "train.max_steps=3",
        "--set",
        "train.logging_steps=1",
    ]
    outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path, *options)
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "tiny-label_only").exists()
    events = [json.loads(line) for line in (tmp_path / "tiny/events.jsonl").read_text().splitlines()]
    trained = [one["values"] for one in events if one["kind"] == "train" and one["stage"] == "distil"]
    assert len(trained) == 3
    for values in trained:
        assert "embedding" not in values
        total = 0.25 * values["attention"] + 3 * values["hidden"] + 0.5 * values["soft"] + 2 * values["hard"]
        assert values["loss"] == pytest.approx(total, rel=1e-5)


def test_the_plan_before_and_after(cli: Cli, finished: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    before = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--dry-run", "--json")
    assert before.code == 0, before.err
    plan = json.loads(before.out)
    assert set(plan) == {"name", "seconds", "data", "stages", "sets", "recipe"}
    assert plan["data"]["counts"] == {"passages": 40, "queries": 34, "training queries": 20, "validation queries": 6}
    assert plan["sets"] == {"test": {"queries": 8, "depth": 10, "measures": "RR@10 nDCG@10"}}
    keys = ("what", "examples", "steps", "cached")
    assert [tuple(stage[key] for key in keys) for stage in plan["stages"]] == [
        ("teacher: fine_tune", 20, 10, False),
        ("student: distil", 60, 16, False),
        ("label-only: fine_tune", 60, 16, False),
    ]
    assert [path.name for path in tmp_path.iterdir()] == [".artifacts"]
    after = cli("run", tiny_recipe, "--runs-dir", finished.runs, "--dry-run", "--json")
    assert [stage["cached"] for stage in json.loads(after.out)["stages"]] == [True, True, True]


def test_the_plan_for_people(cli: Cli, finished: Any, tiny_recipe: Path) -> None:
    plan = ("run", tiny_recipe, "--runs-dir", finished.runs, "--dry-run")
    text = cli(*plan).out
    assert text.startswith("tiny on tiny: 40 passages, 34 queries, 20 training queries, 6 validation queries\n")
    rows = {" ".join(line.split()[:2]): line.split()[-3:] for line in text.splitlines()}
    assert rows["teacher: fine_tune"] == ["20", "10", "yes"]
    assert rows["student: distil"] == ["60", "16", "yes"]
    assert "0 optimiser steps to train" in text
    changed = cli(*plan, "--set", "train.learning_rate=2e-3").out
    rows = {" ".join(line.split()[:2]): line.split()[-3:] for line in changed.splitlines()}
    assert rows["teacher: fine_tune"] == ["20", "10", "yes"]
    assert rows["student: distil"] == ["60", "16", "no"]
    assert "32 optimiser steps to train" in changed


def test_the_plan_of_a_grid(cli: Cli, finished: Any, tiny_recipe: Path) -> None:
    grid = ("--set", "grid.strategy.temperature=[1.0, 2.0]", "--set", "grid.train.max_steps=[2, 4]")
    outcome = cli("run", tiny_recipe, "--runs-dir", finished.runs, "--dry-run", "--json", *grid)
    steps = {stage["what"]: stage["steps"] for stage in json.loads(outcome.out)["stages"]}
    assert len(steps) == 1 + 4 + 4  # the twin has no temperature, and two learning rates in its place
    assert steps["student, temperature 2.0, max_steps 4: distil"] == 4
    assert steps["label-only, max_steps 2, learning_rate 0.002: fine_tune"] == 2
    shared = cli(
        "run", tiny_recipe, "--runs-dir", finished.runs, "--dry-run", "--json", *grid, "--set", "twin.grid=shared"
    )
    assert len(json.loads(shared.out)["stages"]) == 1 + 4 + 2


def test_resuming_a_finished_run_computes_nothing(shell: Cli, finished: Any, tiny_recipe: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.runs.rglob("*")}
    command = ("run", tiny_recipe, "--runs-dir", finished.runs, "--resume", "auto")
    again = shell(*command, options=("-X", "importtime"))
    assert (again.code, again.out) == (0, finished.outcome.out)
    assert {path: path.stat().st_mtime_ns for path in finished.runs.rglob("*")} == before
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines() if line.startswith("import time:")}
    assert "distilkit.comparison.reports" in imported
    assert not imported & {"torch", "transformers", "accelerate"}


def test_the_table_as_json(cli: Cli, finished: Any, tiny_recipe: Path) -> None:
    outcome = cli("run", tiny_recipe, "--runs-dir", finished.runs, "--resume", "auto", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert set(report) == {"run", "choices", "notes", "sets"}
    assert report["sets"]["test"]["baselines"] == ["bm25", "teacher", "tiny-label_only"]
    names = {one["name"] for one in report["sets"]["test"]["systems"]}
    assert names == {"bm25", "teacher", "tiny-label_only", "tiny", "chance", "ceiling"}


@pytest.mark.parametrize("spell", ["name", "relative", "absolute"])
def test_a_run_is_resumed_by_name_or_folder(
    cli: Cli, finished: Any, tiny_recipe: Path, spell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.runs.parent)
    given = {"name": "tiny", "relative": "runs/tiny", "absolute": finished.run}[spell]
    outcome = cli("run", tiny_recipe, "--runs-dir", "runs", "--name", "other", "--resume", given)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("tiny on tiny")


def test_a_name_is_not_taken_twice(cli: Cli, finished: Any, tiny_recipe: Path) -> None:
    outcome = cli("run", tiny_recipe, "--runs-dir", finished.runs)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        f"distilkit: {finished.run} exists; continue it with --resume auto, or choose another name with --name\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--set", "train.learning_rate=2e-3"), "train.learning_rate = 0.001, not 0.002"),
        (("--seed", "2"), "seed = 1, not 2"),
        (("--set", "strategy.weights.soft=0.5"), "strategy.weights.soft = 1.0, not 0.5"),
        (("--set", "grid.seed=[1, 2]"), "grid"),
    ],
)
def test_a_changed_recipe_does_not_resume(
    cli: Cli, finished: Any, tiny_recipe: Path, options: tuple[str, ...], said: str
) -> None:
    outcome = cli("run", tiny_recipe, "--runs-dir", finished.runs, "--resume", "auto", *options)
    assert outcome.code == 2
    assert f"{finished.run} was started with {said}" in outcome.err
    assert "--name" in outcome.err


def test_a_run_of_an_earlier_version_resumes_by_the_defaults_of_newer_keys(
    cli: Cli, finished: Any, tiny_recipe: Path
) -> None:
    place = finished.run / "run.json"
    before = json.loads(place.read_text())
    older = json.loads(place.read_text())
    del older[SEAL], older["resolved"]["general"]["pairs"], older["resolved"]["strategy"]["weights"]["attention"]
    words = ("run", tiny_recipe, "--runs-dir", finished.runs, "--resume", "auto")
    try:
        place.write_text(json.dumps(sealed(older)))
        resumed = cli(*words)
        assert (resumed.code, "damaged" in resumed.err) == (0, False)
        for key, value in (("general.pairs", "True"), ("strategy.weights.attention", "0.5")):
            place.write_text(json.dumps(sealed(older)))
            outcome = cli(*words, "--set", f"{key}={value.lower()}")
            assert outcome.code == 2
            assert f"was started with {key} = None, not {value}" in outcome.err
    finally:
        place.write_text(json.dumps(before))


def test_what_cannot_be_resumed(cli: Cli, finished: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    options = ("run", tiny_recipe, "--runs-dir", finished.runs, "--resume")
    assert "no run is called 'tinny'" in cli(*options, "tinny").err
    assert "did you mean 'tiny'?" in cli(*options, "tinny").err
    shutil.copytree(finished.run, tmp_path / "elsewhere")
    outcome = cli(*options, tmp_path / "elsewhere")
    assert outcome.code == 2
    assert outcome.err.endswith(f"the run is not in {finished.runs}; name its folder with --runs-dir\n")


def test_a_plan_tells_seconds_by_the_pace_of_stages_trained_before(
    cli: Cli, finished: Any, tiny_recipe: Path, tmp_path: Path
) -> None:
    runs = shutil.copytree(finished.runs, tmp_path / "runs")

    def seconds(*options: object) -> list[float | None]:
        done = cli("run", tiny_recipe, "--runs-dir", runs, "--name", "planned", "--dry-run", "--json", *options)
        assert done.code == 0, done.err
        return [stage["seconds"] for stage in json.loads(done.out)["stages"]]

    found = seconds("--seed", 2)
    assert all(found)
    manifests = list((runs / ".artifacts").glob("stage/*/manifest.json"))
    manifests[0].write_text("{")
    assert all(seconds("--seed", 2))
    for manifest in (*manifests, *(runs / ".artifacts").glob("teacher/*/manifest.json")):
        manifest.unlink()
    assert seconds("--seed", 2) == [None, None, None]


def test_another_seed_shares_the_teacher(cli: Cli, finished: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    runs = shutil.copytree(finished.runs, tmp_path / "runs")
    before = artifacts(runs)
    outcome = cli("run", tiny_recipe, "--runs-dir", runs, "--seed", "2", "--name", "suite/second")
    assert outcome.code == 0, outcome.err
    assert (runs / "suite/second/run.json").is_file()
    assert (runs / "suite/second-label_only/run.json").is_file()
    after = artifacts(runs)
    assert {name: after[name] for name in before} == before
    kinds = ["cost", "cost", "ranking", "ranking", "stage", "stage"]
    assert sorted(name.split("/")[0] for name in set(after) - set(before)) == kinds
    record, twin = read(runs / "suite/second/run.json"), read(runs / "suite/second-label_only/run.json")
    assert (record["seed"], twin["seed"]) == (2, 2)
    assert record["overrides"] == ['name="suite/second"', "seed=2"]
    assert record["twin"] == "suite/second-label_only"
    events = [json.loads(line) for line in (runs / "suite/second/events.jsonl").read_text().splitlines()]
    teaching = [event for event in events if event["stage"] == "fine_tune"]
    assert teaching
    assert all(event["reused"] for event in teaching)
    teachers = [
        read(run / "eval/test/references/teacher/measures.json") for run in (runs / "tiny", runs / "suite/second")
    ]
    assert teachers[0] == teachers[1]
    listed = json.loads(cli("runs", "--runs-dir", runs, "--json").out)
    assert {"suite/second", "suite/second-label_only", "tiny"} <= {one["name"] for one in listed}


def test_a_foreign_folder_is_not_taken_for_the_twin(cli: Cli, finished: Any, tiny_recipe: Path, tmp_path: Path) -> None:
    shutil.copytree(finished.runs / ".artifacts", tmp_path / ".artifacts")
    shutil.copytree(finished.run, tmp_path / "tiny-label_only")
    outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path)
    assert outcome.code == 2
    assert f"{tmp_path}/tiny-label_only exists and is not the twin of tiny" in outcome.err
    assert not (tmp_path / "tiny").exists()
    shutil.rmtree(tmp_path / "tiny-label_only")
    shutil.copytree(finished.twin, tmp_path / "tiny-label_only")
    outcome = cli("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "train.max_steps=3")
    assert outcome.code == 2
    assert "tiny-label_only was started with train.max_steps = None, not 3" in outcome.err
    assert not (tmp_path / "tiny").exists()


def test_a_query_without_candidates_scores_nothing(
    cli: Cli, tiny_beir: Path, tiny_recipe: Path, tmp_path: Path
) -> None:
    beir = shutil.copytree(tiny_beir, tmp_path / "beir")
    with (beir / "queries.jsonl").open("a") as file:
        file.write('{"_id": "stray", "text": "zyzzyva xylograph"}\n')
    with (beir / "qrels" / "test.tsv").open("a") as file:
        file.write("stray\td0\t1\n")
    runs = tmp_path / "runs"
    options = ("--set", f"data.path={beir}", "--set", "twin.budget=none", "--set", "train.max_steps=2")
    outcome = cli("run", tiny_recipe, "--runs-dir", runs, *options)
    assert outcome.code == 0, outcome.err
    assert "1 judged queries have no candidates and count as 0" in outcome.err
    for place in (".", "references/bm25", "references/teacher"):
        folder = runs / "tiny/eval/test" / place
        measures = read(folder / "measures.json")
        assert (measures["n"], measures["policy"]["missing"]) == (9, 1)
        with (folder / "per_query.csv").open(newline="") as file:
            values = {row["query_id"]: row for row in csv.DictReader(file)}
        assert (values["stray"]["RR@10"], values["stray"]["nDCG@10"]) == ("0.0", "0.0")
        assert "stray" not in (folder / "run.trec").read_text()


def test_a_run_that_nothing_disturbed_speaks_of_no_damage(finished: Any) -> None:
    assert "not whole" not in finished.outcome.err


def test_labels_and_compute_of_student_teacher_and_twin_are_stated(finished: Any) -> None:
    def budget(place: Path) -> dict[str, float]:
        return json.loads((place / "cost.json").read_text())["budget"]

    student, teacher = finished.run / "eval" / "test", finished.run / "eval" / "test" / "references" / "teacher"
    own, taught, twin = budget(student), budget(teacher), budget(finished.twin / "eval" / "test")
    assert own["labelled_queries"] == own["total_labelled_queries"] == 20  # both read all training queries
    assert own["total_training_macs"] == own["training_macs"] + taught["training_macs"] > taught["training_macs"] > 0
    assert own["total_training_seconds"] == pytest.approx(own["training_seconds"] + taught["training_seconds"])
    assert twin["total_training_macs"] == twin["training_macs"]
    # As many steps of as many pairs: the student's cost the teacher's four layers to its two, each read once, on top.
    assert own["training_macs"] / twin["training_macs"] == pytest.approx(10 / 6)
    assert "Labels and training behind each system" in finished.outcome.out

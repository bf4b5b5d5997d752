"""Students with the vocabulary of the collection train as those with the whole one, and are saved smaller."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peers import bert_config, spread, wordpiece
from settings_given import sets
from tiny_worlds import recipe_text, write_beir
from transformers import BertForMaskedLM

Cli = Callable[..., Any]
Run = Callable[..., Path]

SHORT = ("twin.budget=none", "general.max_length=16", "stages.general.max_steps=3", "train.max_steps=5")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recipe whose checkpoint is of BERT's kind, with a head that predicts masked words."""
    folder = tmp_path_factory.mktemp("cut")
    write_beir(folder / "collection")
    corpus = folder / "collection/corpus.jsonl"
    passages = [json.loads(line) for line in corpus.read_text().splitlines()]
    # Every word of the queries is in a passage.
    corpus.write_text("".join(json.dumps({**one, "text": f"{one['text']} what"}) + "\n" for one in passages))
    tokenizer = wordpiece()
    spread(BertForMaskedLM(bert_config(tokenizer))).save_pretrained(folder / "checkpoint")
    tokenizer.save_pretrained(folder / "checkpoint")
    (folder / "recipe.toml").write_text(recipe_text(folder / "collection", folder / "checkpoint"))
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def run(cli: Cli, recipe: Path) -> Run:
    """Return a function that runs the recipe and returns the run's folder."""

    def finish(name: str, *options: object) -> Path:
        words = sets(*SHORT, *options)
        done = cli("run", recipe, "--runs-dir", recipe.parent / "runs", "--name", name, *words)
        assert done.code == 0, done.err
        return recipe.parent / "runs" / name

    return finish


def losses(folder: Path) -> list[float]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [event["values"]["loss"] for event in events if event["kind"] == "train"]


def results(folder: Path) -> Any:
    return json.loads((folder / "eval/test/measures.json").read_text())


# Masked words are predicted among those of the vocabulary, fewer in a cut one, so that loss is another.
CHANGES = {
    "scores": ["strategy.name=margin_mse"],
    "internals": ["strategy.general=true", "train.logging_steps=1"],
    "cached": ["teacher.internals=float32"],
    "words": ["strategy.name=lm_distill_ranker_distill", "general.masking=one"],
    "drawn": ["student.start=random"],
}


@pytest.mark.parametrize("name", CHANGES)
def test_it_trains_as_the_whole_one_does(name: str, run: Run) -> None:
    options = CHANGES[name]
    whole = run(f"{name}-whole", *options)
    small = run(f"{name}-cut", "student.vocabulary=collection", *options)
    assert len(losses(small)) > 1
    if name == "words":
        assert losses(small) != losses(whole)
    else:
        assert losses(small) == pytest.approx(losses(whole), rel=1e-4)
        assert results(small) == results(whole)
    sizes = [json.loads((one / "model/config.json").read_text())["vocab_size"] for one in (whole, small)]
    assert sizes[1] < sizes[0]
    entries = json.loads((small / "model/tokenizer.json").read_text())["model"]["vocab"]
    assert len(entries) == sizes[1]
    assert "desert" in entries
    assert "passage" not in entries


def test_a_saved_student_is_ready_for_use(cli: Cli, run: Run, recipe: Path) -> None:
    folder = run("used", "student.vocabulary=collection", "student.architecture=colbert", "strategy.name=margin_mse")
    data = recipe.parent / "collection"
    words = ("--data", data, "--depth", "10", "--bf16", "false", "--output", recipe.parent / "mine.trec")
    done = cli("rerank", folder / "model", *words)
    assert done.code == 0, done.err
    ranked, own = (one.read_text().split() for one in (recipe.parent / "mine.trec", folder / "eval/test/run.trec"))
    assert ranked[2::6] == own[2::6]


def test_other_kinds_of_tokenizers_are_refused_before_anything_is_trained(cli: Cli, tiny_recipe: Path) -> None:
    runs = tiny_recipe.parent / "refused"
    done = cli("run", tiny_recipe, "--runs-dir", runs, "--dry-run", "--set", "student.vocabulary=collection")
    assert done.code == 2
    assert "is WordLevel; expected WordPiece" in done.err
    assert len(done.err.strip().splitlines()) == 1

"""Training on files: triples that were given, and scores that a teacher gave elsewhere."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from settings_given import sets

from distilkit.files import read_json
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.workspace import Workspace
from distilkit.recipe import load_recipe
from distilkit.training.processes import Processes

SETTINGS = [
    *("strategy={name = 'margin_mse'}", "student.architecture=bert_dot", "train.max_steps=4", "twin.budget=none"),
    *("data.query_length=8", "data.document_length=16"),
]
TRIPLES = [("q0", "d0", "d5"), ("q0", "d0", "d9"), ("q1", "d1", "d7"), ("q2", "d2", "d30"), ("q3", "d3", "d1")]


@pytest.fixture
def triples(tmp_path: Path) -> Path:
    path = tmp_path / "triples.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in TRIPLES))
    return path


@pytest.fixture
def scored(triples: Path, tmp_path: Path, tiny_checkpoint: Path, tiny_beir: Path, cli: Callable[..., Any]) -> Path:
    path = tmp_path / "scores.tsv"
    done = cli(
        *("score", "--model", tiny_checkpoint, "--triples", triples, "--data", tiny_beir, "--output", path),
        *("--max-length", "16"),
    )
    assert done.code == 0, done.err
    return path


def given(scored: Path, triples: Path, *more: str) -> list[str]:
    # The file stands for the teacher, which is fine-tuned no more.
    return sets(*SETTINGS, f"teacher.scores={scored}", "teacher.fine_tune=none", f"train.triples={triples}", *more)


def examples_of(recipe: Path, runs: Path, scored: Path, triples: Path) -> Any:
    settings = [*SETTINGS, f"teacher.scores={scored}", "teacher.fine_tune=none", f"train.triples={triples}"]
    loaded = load_recipe(recipe, settings)
    pipeline = Pipeline(loaded, Workspace(runs / ".artifacts", Processes(), Reporter(quiet=True)))
    return pipeline, pipeline.workspace.value(pipeline.grid()[0].stages[-1].examples)


def test_a_student_learns_the_scores_of_a_file(
    tiny_recipe: Path, scored: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples))
    assert done.code == 0, done.err
    pipeline, examples = examples_of(tiny_recipe, tmp_path, scored, triples)
    rows = [line.split("\t") for line in scored.read_text().splitlines()]
    np.testing.assert_array_equal(examples.targets, np.array([row[:2] for row in rows], np.float32))
    collection = pipeline.data.collection
    found = [
        (collection.queries.id(int(q[0])), *collection.passages.ids(p.tolist()))
        for q, p in zip(examples.queries, examples.passages, strict=True)
    ]
    assert found == TRIPLES
    # The recipe names the ranker that the file is of, so it is what the student is held against.
    assert (tmp_path / "tiny" / "eval" / "test" / "references" / "teacher" / "run.trec").exists()


def test_the_scores_are_those_of_the_same_teacher_in_a_run(
    tiny_recipe: Path, scored: Path, triples: Path, tmp_path: Path
) -> None:
    _, from_file = examples_of(tiny_recipe, tmp_path, scored, triples)
    loaded = load_recipe(tiny_recipe, [*SETTINGS, "teacher.fine_tune=none", f"train.triples={triples}"])
    pipeline = Pipeline(loaded, Workspace(tmp_path / ".artifacts", Processes(), Reporter(quiet=True)))
    ranker = pipeline.workspace.value(pipeline.grid()[0].stages[-1].examples)
    np.testing.assert_array_equal(from_file.passages, ranker.passages)
    np.testing.assert_allclose(from_file.targets, ranker.targets, rtol=1e-5, atol=1e-6)


def test_a_file_without_its_ranker_leaves_the_first_stage_alone(
    tiny_beir: Path, tiny_checkpoint: Path, scored: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    recipe = tmp_path / "alone.toml"
    recipe.write_text(f"""
name = "alone"
[data]
source = "beir"
path = {json.dumps(str(tiny_beir))}
max_length = 16
query_length = 8
document_length = 16
[teacher]
scores = {json.dumps(str(scored))}
[student]
architecture = "bert_dot"
source = {json.dumps(str(tiny_checkpoint))}
shape = "L1_H16"
[strategy]
name = "margin_mse"
[train]
triples = {json.dumps(str(triples))}
max_steps = 2
eval_examples = [2]
[twin]
budget = "none"
""")
    done = cli("run", recipe, "--runs-dir", tmp_path)
    if done.code == 2:  # the offline default package is not installed
        pytest.skip(done.err)
    assert done.code == 0, done.err
    references = tmp_path / "alone" / "eval" / "test" / "references"
    assert [path.name for path in references.iterdir()] == ["bm25"]
    assert read_json(tmp_path / "alone" / "curve.json")["teacher"] is None


def test_what_a_file_lacks_is_refused_or_left_out_and_counted(
    tiny_recipe: Path, scored: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    scored.write_text("".join(scored.read_text().splitlines(keepends=True)[1:]))
    edited = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples))
    assert edited.code == 2
    assert "its provenance is of other ids" in edited.err
    scored.with_name("scores.tsv.provenance.json").unlink()
    refused = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples))
    assert refused.code == 2
    assert "1 of 5 examples have no score" in refused.err
    assert "query q0 with d5" in refused.err
    assert not (tmp_path / "tiny").exists()
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples, "data.on_missing=skip"))
    assert done.code == 0, done.err
    for said in (done.err, (tmp_path / "tiny" / "log.txt").read_text()):
        assert said.count("1 of 5 examples have no score") == 1, "said once, and kept"
    steps = [json.loads(line) for line in (tmp_path / "tiny" / "events.jsonl").read_text().splitlines()]
    assert [event["step"] for event in steps if event["kind"] == "train"][-1] == 4


def test_unknown_triples_are_refused_or_left_out(
    tiny_recipe: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    triples.write_text(triples.read_text() + "q4\td4\tnobody\n")
    settings = [*SETTINGS, f"train.triples={triples}"]
    refused = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings))
    assert refused.code == 2
    assert f"{triples}:6" in refused.err
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings, "data.on_missing=skip"))
    assert done.code == 0, done.err


def test_a_file_of_another_ranker_is_refused(
    tiny_recipe: Path, scored: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any], make_checkpoint: Any
) -> None:
    other = tmp_path / "other"
    make_checkpoint(other, seed=5)
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples, f"teacher.model={other}"))
    assert done.code == 2
    assert "teachers[1].weights" in done.err
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples, "data.max_length=20"))
    assert done.code == 2
    assert "max_length is 16 there, and 20 is asked for" in done.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["student.architecture=bert_cat", "strategy={name = 'simplified_tinybert'}"], "a file of scores has nothing"),
        (["teacher.fine_tune=fine_tune"], "expected no [teacher] fine_tune"),
        (["teacher.scores=/nowhere/scores.tsv"], "expected 'cached', 'online' or a file"),
        (["train.triples=/nowhere/triples.tsv"], "/nowhere/triples.tsv"),
    ],
)
def test_what_a_file_cannot_do(
    tiny_recipe: Path,
    scored: Path,
    triples: Path,
    tmp_path: Path,
    cli: Callable[..., Any],
    settings: list[str],
    said: str,
) -> None:
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(scored, triples, *settings))
    assert done.code == 2
    assert said in done.err


def test_margins_alone_teach_no_scores(
    tiny_recipe: Path, triples: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    margins = tmp_path / "margins.parquet"
    table = {
        "query_id": [row[0] for row in TRIPLES],
        "positive_id": [row[1] for row in TRIPLES],
        "negative_id": [row[2] for row in TRIPLES],
        "score": [0.5, 1.0, -2.0, 3.0, 0.0],
    }
    pq.write_table(pa.table(table), margins)
    learned = cli("run", tiny_recipe, "--runs-dir", tmp_path, *given(margins, triples))
    if learned.code != 0:
        pytest.fail(learned.err)
    pointwise = cli(
        *("run", tiny_recipe, "--runs-dir", tmp_path, "--name", "points"),
        *given(margins, triples, "strategy={name = 'pointwise_mse'}"),
    )
    assert pointwise.code == 2
    assert "holds margins alone" in pointwise.err


def test_training_queries_without_a_relevant_passage_are_counted(
    tiny_recipe: Path, tiny_beir: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    folder = shutil.copytree(tiny_beir, tmp_path / "beir")
    judged = folder / "qrels" / "train.tsv"
    judged.write_text(judged.read_text().replace("q3\td3\t1", "q3\td3\t0"))
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*SETTINGS, f"data.path={folder}"))
    assert done.code == 0, done.err
    assert "1 of 20 training queries have no relevant passage" in done.err


def test_empty_passages_are_scored_and_not_trained_on(
    tiny_recipe: Path, tiny_beir: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    folder = shutil.copytree(tiny_beir, tmp_path / "beir")
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    rows[3]["text"] = ""
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [*SETTINGS, f"data.path={folder}"]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings))
    assert done.code == 0, done.err
    assert "1 of 40 passages are empty: scored as empty texts, and not trained on" in done.err
    loaded = load_recipe(tiny_recipe, settings)
    pipeline = Pipeline(loaded, Workspace(tmp_path / ".artifacts", Processes(), Reporter(quiet=True)))
    stage = pipeline.grid()[0].stages[-1]
    examples = pipeline.workspace.value(stage.examples)
    empty = pipeline.data.collection.passages.index("d3")
    assert len(examples) == stage.examples.count(pipeline.workspace)
    assert empty not in examples.passages


def test_a_files_place_is_not_in_the_key(tiny_recipe: Path, scored: Path, triples: Path, tmp_path: Path) -> None:
    def key(scored: Path, triples: Path) -> str:
        pipeline, _ = examples_of(tiny_recipe, tmp_path, scored, triples)
        return str(pipeline.grid()[0].stages[-1].key)

    moved = [path.rename(path.with_name(f"moved-{path.name}")).resolve() for path in (scored, triples)]
    before = key(*moved)
    assert before == key(*(path.rename(path.with_name(f"again-{path.name}")) for path in moved))
    shorter = tmp_path / "shorter.tsv"
    shorter.write_text(
        "".join(
            triples_line
            for triples_line in (tmp_path / "again-moved-triples.tsv").read_text().splitlines(keepends=True)[:-1]
        )
    )
    assert before != key(tmp_path / "again-moved-scores.tsv", shorter)


def test_a_tk_of_the_collections_own_words(tiny_recipe: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    settings = [
        *(SETTINGS[0], "student.architecture=tk", "student.start=random", "student.shape=none", *SETTINGS[2:]),
        "student.options={vocabulary = 'word', embeddings = 'random', dim = 8, layers = 1, heads = 2}",
    ]
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path, *sets(*settings))
    assert done.code == 0, done.err
    vocabulary = read_json(tmp_path / "tiny" / "model" / "tokenizer.json")["model"]["vocab"]
    assert "violin" in vocabulary
    assert not any(word.startswith("##") for word in vocabulary)

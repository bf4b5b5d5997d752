"""`distilkit score`: its files hold raw logits, each pair computed once, whatever was killed on the way."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from cli_processes import end_well, run_cli, started, together, wait_for

from distilkit.data.teacher_scores import TeacherScores, read_provenance, require_match
from distilkit.errors import UserError
from distilkit.evaluation import rerank as scoring_pairs
from distilkit.models.cat import load_cat
from distilkit.models.load import load_tokenizer
from distilkit.models.references import content_hash
from distilkit.scoring import job, nodes

Cli = Callable[..., Any]
FP32 = ("--bf16", "false")


def expected(teacher: Path, data: Path, max_length: int = 256) -> Callable[[str, str], float]:
    """Return a function that scores a pair by itself, with transformers' own tokenisation."""
    texts = {}
    for name in ("queries", "corpus"):
        rows = map(json.loads, (data / f"{name}.jsonl").read_text().splitlines())
        texts |= {row["_id"]: row["text"] for row in rows}
    model, tokenizer = load_cat(teacher).model, load_tokenizer(teacher)

    def score(query: str, passage: str) -> float:
        encoded = tokenizer(texts[query], texts[passage], truncation=True, max_length=max_length, return_tensors="pt")
        with torch.no_grad():
            return float(model(**encoded).logits[0, 0])

    return score


def read_triples(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_the_tsv_holds_the_raw_logits_of_every_triple(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores.tsv"
    options = ("--data", tiny_beir, "--bf16", "false", "--output", output)
    outcome = cli("score", "--model", teachers[0], "--triples", triples, *options)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"45 pairs, 60 triples scored with one: {output}\n"
    score = expected(teachers[0], tiny_beir)
    rows, asked = read_triples(output), read_triples(triples)
    assert [row[2:] for row in rows] == asked
    for positive, negative, query, *passages in rows:
        assert float(positive) == pytest.approx(score(query, passages[0]), abs=1e-5)
        assert float(negative) == pytest.approx(score(query, passages[1]), abs=1e-5)
    assert {path.name for path in tmp_path.iterdir()} == {"scores.tsv", "scores.tsv.provenance.json"}


def test_parquet_holds_every_pair_once(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    whole = nodes.score_pairs
    monkeypatch.setattr(nodes, "score_pairs", lambda *rest, **more: scored.append(len(rest[2])) or whole(*rest, **more))
    output = tmp_path / "scores.parquet"
    options = ("--model", teachers[0], "--model", f"deep={teachers[1]}", "--output", output, "--json", *FP32)
    outcome = cli("score", "--triples", triples, "--data", tiny_beir, *options)
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert (said["pairs"], said["triples"], said["teachers"]) == (45, 60, ["one", "deep"])
    assert scored == [45, 45]
    table = pq.read_table(output)
    assert table.column_names == ["query_id", "doc_id", "score", "one", "deep"]
    assert len({(row["query_id"], row["doc_id"]) for row in table.to_pylist()}) == len(table) == 45
    first, second = expected(teachers[0], tiny_beir), expected(teachers[1], tiny_beir)
    for row in table.to_pylist():
        ids = row["query_id"], row["doc_id"]
        assert row["one"] == pytest.approx(first(*ids), abs=1e-5)
        assert row["deep"] == pytest.approx(second(*ids), abs=1e-5)
        assert row["score"] == np.float32((row["one"] + row["deep"]) / 2)


def test_a_source_of_data_has_the_texts_too(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    written = []
    for number, data in enumerate((tiny_beir, f"beir:{tiny_beir}")):
        output = tmp_path / f"{number}.tsv"
        fixed = ("--data", data, "--bf16", "false", "--runs-dir", tmp_path / "runs", "--output", output)
        outcome = cli("score", "--model", teachers[0], "--triples", triples, *fixed)
        assert outcome.code == 0, outcome.err
        written.append(output.read_bytes())
    assert written[0] == written[1]
    unknown = tmp_path / "unknown.tsv"
    unknown.write_text("q0\td0\td1\nq0\tno-such\td1\n")
    fixed = ("--data", f"beir:{tiny_beir}", "--runs-dir", tmp_path / "runs", "--output", tmp_path / "x.tsv")
    outcome = cli("score", "--model", teachers[0], "--triples", unknown, *fixed)
    assert outcome.code == 2
    assert "unknown.tsv:2: the passage id 'no-such' is not in" in outcome.err


def test_the_provenance(cli: Cli, teachers: list[Path], pairs: Path, tiny_beir: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    options = ("--data", tiny_beir, "--max-length", 16, "--bf16", "false", "--output", output)
    assert cli("score", "--model", teachers[0], "--pairs", pairs, *options).code == 0
    provenance = read_provenance(output)
    assert provenance is not None
    (teacher,) = provenance["teachers"]
    assert (teacher["name"], teacher["max_length"], teacher["weights"]) == ("one", 16, content_hash(str(teachers[0])))
    assert provenance["precision"] == "fp32"
    assert str(tmp_path) not in json.dumps(provenance)
    from distilkit.data.collection import open_collection
    from distilkit.data.sources.beir import BeirSource

    BeirSource(tiny_beir).write(tmp_path / "collection")
    collection = open_collection(tmp_path / "collection")
    asked = {"texts": TeacherScores.open(output).text_fingerprint(collection), "precision": "fp32"}
    require_match(provenance, asked)
    with pytest.raises(UserError, match=r"precision is \"fp32\" there, and \"bf16\" is asked for"):
        require_match(provenance, {"precision": "bf16"})


def test_standardised(cli: Cli, teachers: list[Path], pairs: Path, tiny_beir: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    models = ("--model", teachers[0], "--model", teachers[1])
    outcome = cli(
        "score", *models, "--pairs", pairs, "--data", tiny_beir, "--combine", "standardised", "--output", output
    )
    assert outcome.code == 0, outcome.err
    table = pq.read_table(output)
    columns = [table[name].to_numpy() for name in ("one", "two")]
    mean = np.mean([(one - one.mean()) / one.std() for one in columns], axis=0)
    np.testing.assert_allclose(table["score"].to_numpy(), mean, rtol=1e-4, atol=1e-5)
    provenance = read_provenance(output)
    assert provenance is not None
    assert provenance["combine"] == "standardised"
    assert provenance["statistics"]["two"]["mean"] == pytest.approx(float(columns[1].mean()), rel=1e-5)


def test_a_run_and_files_of_texts(cli: Cli, teachers: list[Path], tiny_beir: Path, tmp_path: Path) -> None:
    run = tmp_path / "bm25.trec"
    run.write_text("q0 Q0 d0 1 3.5 t\nq0 Q0 d7 2 3.0 t\nq1 Q0 d1 1 2 t\n")
    collection = tmp_path / "collection.tsv"
    rows = map(json.loads, (tiny_beir / "corpus.jsonl").read_text().splitlines())
    collection.write_text("".join(f"{row['_id']}\t{row['text']}\n" for row in rows))
    texts = ("--collection", collection, "--queries", tiny_beir / "queries.jsonl")
    output = tmp_path / "scores.parquet"
    outcome = cli("score", "--model", teachers[0], "--run", run, *texts, "--output", output, *FP32)
    assert outcome.code == 0, outcome.err
    score = expected(teachers[0], tiny_beir)
    found = TeacherScores.open(output).lookup(["q0", "q0", "q1"], ["d0", "d7", "d1"])[:, 0]
    assert found.tolist() == pytest.approx([score("q0", "d0"), score("q0", "d7"), score("q1", "d1")], abs=1e-5)


def test_triples_of_texts_need_no_collection(cli: Cli, teachers: list[Path], tmp_path: Path) -> None:
    path, output = tmp_path / "texts.tsv", tmp_path / "scores.tsv"
    path.write_text("what apple\tthe red apple\tthe old river\nwhat river\tthe old river\tthe red apple\n")
    outcome = cli("score", "--model", teachers[0], "--triples", path, "--output", output)
    assert outcome.code == 0, outcome.err
    assert [row[2:] for row in read_triples(output)] == read_triples(path)
    outcome = cli("score", "--model", teachers[0], "--triples", output, "--output", tmp_path / "again.tsv")
    assert outcome.code == 0, outcome.err  # what is written can be scored again
    assert (tmp_path / "again.tsv").read_text() == output.read_text()


def test_the_real_sample_of_ms_marco(
    cli: Cli, teachers: list[Path], real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    path = real_data("msmarco-triples-sample") / "triples.tsv"
    output = tmp_path / "scores.tsv"
    outcome = cli("score", "--model", teachers[0], "--triples", path, "--max-length", 32, "--output", output)
    assert outcome.code == 0, outcome.err
    assert [row[2:] for row in read_triples(output)] == read_triples(path)
    assert len(read_triples(output)) == 100


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "SHARD", 8)


def score_until_the_third_shard_of_the_second(arguments: list[str]) -> None:
    """Score in shards of 8 pairs, of which a teacher has six, and stop moving in the second teacher's third."""
    whole, calls = nodes.score_pairs, count(1)

    def score(*rest: Any, **more: Any) -> Any:
        while next(calls) > 8:
            time.sleep(60)
        return whole(*rest, **more)

    job.SHARD, nodes.score_pairs = 8, score
    run_cli(arguments)


def shards_in(parts: Path) -> int:
    """Return how many shards of all teachers are done."""
    return len(list(parts.glob("scores/*/manifest.json")))


@pytest.mark.usefixtures("small_shards")
def test_a_killed_scoring_goes_on(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    models = ("--model", teachers[0], "--model", teachers[1])
    fixed = ("score", *models, "--triples", triples, "--data", tiny_beir, "--bf16", "false", "--output")
    assert cli(*fixed, tmp_path / "whole.tsv").code == 0
    output = tmp_path / "scores.tsv"
    parts = tmp_path / f"{output.name}.parts"
    arguments = [*map(str, (*fixed, output))]
    with started(score_until_the_third_shard_of_the_second, arguments, folder=tmp_path / "said") as process:
        wait_for(lambda: shards_in(parts) == 8, process)
        # At work on the third of six shards of the second teacher.
        clash = cli(*fixed, output, "--resume")
        assert clash.code == 2
        assert "another process is working on this scoring" in clash.err
        process.signal(signal.SIGKILL)
        process.wait()
    assert not output.exists()
    assert shards_in(parts) == 8
    assert cli(*fixed, output).code == 2
    other = cli(*fixed, output, "--resume", "--max-length", 16)
    assert other.code == 2
    assert "teachers[1].max_length is 64 there, and 16 is asked for" in other.err
    sizes: list[int] = []
    whole = nodes.score_pairs
    monkeypatch.setattr(nodes, "score_pairs", lambda *rest, **more: sizes.append(len(rest[2])) or whole(*rest, **more))
    outcome = cli(*fixed, output, "--resume")
    assert outcome.code == 0, outcome.err
    assert len(sizes) == 4  # the first teacher's shards and the second's finished ones are not computed again
    assert output.read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    assert not (tmp_path / f"{output.name}.parts").exists()
    again = cli(*fixed, output, "--resume")
    assert (again.code, again.out) == (0, f"{output} is finished already\n")


def test_a_finished_file_of_something_else_is_refused(
    cli: Cli, teachers: list[Path], pairs: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores.parquet"
    fixed = ("--pairs", pairs, "--data", tiny_beir, "--output", output)
    assert cli("score", "--model", teachers[0], *fixed).code == 0
    before = output.read_bytes()
    outcome = cli("score", "--model", teachers[0], *fixed)
    assert outcome.code == 2
    assert f"{output} exists; delete it, or choose another --output" in outcome.err
    outcome = cli("score", "--model", f"one={teachers[1]}", *fixed, "--resume")
    assert outcome.code == 2
    assert "teachers[1].weights is" in outcome.err
    assert output.read_bytes() == before


@pytest.mark.usefixtures("small_shards")
def test_stopping_leaves_shards(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scoring_pairs.launch_batch
    output = tmp_path / "scores.parquet"

    def stop(*rest: Any) -> Any:
        if shards_in(tmp_path / "scores.parquet.parts") > 1:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(*rest)

    models = ("--model", teachers[0], "--model", teachers[1])
    fixed = ("score", *models, "--triples", triples, "--data", tiny_beir, *FP32, "--output")
    with monkeypatch.context() as patched:
        patched.setattr(scoring_pairs, "launch_batch", stop)
        outcome = cli(*fixed, output)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1] == "distilkit: stopped; continue with --resume"
    assert not output.exists()
    assert cli(*fixed, output, "--resume").code == 0
    assert cli(*fixed, tmp_path / "whole.parquet").code == 0
    assert output.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"--model": "nowhere/else/here"}, "there is no model folder nowhere/else/here"),
        ({"--output": "scores.csv"}, "--output scores.csv: expected a name that ends in .tsv or .parquet"),
        ({"--combine": "median"}, "--combine: there is no 'median'"),
        ({"--triples": "none.tsv"}, "--triples none.tsv: there is no such file"),
        ({"--data": "none"}, "--data none: there is no such folder"),
        ({"--data": None}, "holds ids; name their texts with --data, or with --collection and --queries"),
        ({"--data": None, "--queries": "q.tsv"}, "--collection and --queries go together"),
        ({"--triples": None}, "expected one of --triples, --pairs and --run, got 0"),
        ({"--run": "run.trec"}, "expected one of --triples, --pairs and --run, got 2"),
        ({"--model": "score={teacher}"}, "'score' cannot be a model's name; give one as NAME="),
        ({"--model": "one/none a={teacher}"}, "'one/none' is not a folder here"),
    ],
)
def test_wrong_options(
    options: dict[str, str | None],
    message: str,
    cli: Cli,
    teachers: list[Path],
    triples: Path,
    tiny_beir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "--model": str(teachers[0]),
        "--triples": triples,
        "--data": tiny_beir,
        "--output": "scores.tsv",
        **options,
    }
    words = [str(word).format(teacher=teachers[0]) for pair in given.items() if pair[1] is not None for word in pair]
    outcome = cli("score", *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q0\td0\td1\nq0\td0\n", "triples.tsv:2: expected query, positive and negative (or pos_score"),
        ("q0\td0\td1\nq0\t\td1\n", "triples.tsv:2: an id is empty"),
        ("q0\td0\td1\nq0\td0\td99\n", "triples.tsv:2: the passage id 'd99' is not in "),
        ("q0\td0\td1\n\nq99\td0\td1\n", "triples.tsv:3: the query id 'q99' is not in "),
        ("q0 d0 d1\n", "triples.tsv:1: expected query, positive and negative"),
        ("\n", "triples.tsv: the file is empty"),
        ("what is\ta b\tc d\n", "holds texts, not ids; score it without --data"),
    ],
)
def test_broken_triples(
    text: str, message: str, cli: Cli, teachers: list[Path], tiny_beir: Path, tmp_path: Path
) -> None:
    path, rooms = tmp_path / "triples.tsv", tmp_path / "rooms"
    path.write_text(text)
    rooms.mkdir()
    outcome = cli(
        "score", "--model", teachers[0], "--triples", path, "--data", tiny_beir, "--output", rooms / "scores.tsv"
    )
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(rooms.iterdir()) == []


def test_a_passage_without_text(cli: Cli, teachers: list[Path], pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "collection.tsv").write_text("".join(f"d{number}\t{'red' * (number != 5)}\n" for number in range(9)))
    (tmp_path / "queries.train.tsv").write_text("".join(f"q{number}\tred\n" for number in range(4)))
    outcome = cli(
        "score", "--model", teachers[0], "--pairs", pairs, "--data", tmp_path, "--output", tmp_path / "s.parquet"
    )
    assert outcome.code == 0, outcome.err
    assert "1 passages are empty: scored as empty texts" in outcome.err
    (tmp_path / "queries.train.tsv").write_text("q0\tred\nq1\t\nq2\tred\nq3\tred\n")
    outcome = cli(
        "score", "--model", teachers[0], "--pairs", pairs, "--data", tmp_path, "--output", tmp_path / "t.parquet"
    )
    assert outcome.code == 2
    assert "queries.train.tsv:2: 'q1' has no text" in outcome.err


def test_progress_shows_rate_and_the_time_left(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("--model", teachers[0], "--triples", triples, "--data", tiny_beir, "--batch-size", 8)
    monkeypatch.setattr("distilkit.pipeline.reporter.PLAIN_EVERY", 0.0)
    done = cli("score", *call, "--output", tmp_path / "scores.tsv")
    assert done.code == 0, done.err
    assert re.search(r"^score with one: 8/45, [\d,]+/s, \d+ s left", done.err, re.MULTILINE), done.err


@pytest.mark.slow
def test_two_processes_score_what_one_does(
    cli: Cli, teachers: list[Path], triples: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    fixed = ("score", "--model", teachers[0], "--triples", triples, "--data", tiny_beir, "--batch-size", 8, "--output")
    assert cli(*fixed, tmp_path / "one.tsv").code == 0
    with together(run_cli, [*map(str, (*fixed, tmp_path / "two.tsv"))], folder=tmp_path / "said") as ranks:
        assert end_well(ranks).count("45 pairs") == 1
    assert (tmp_path / "two.tsv").read_bytes() == (tmp_path / "one.tsv").read_bytes()

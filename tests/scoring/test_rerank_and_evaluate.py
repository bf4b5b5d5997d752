"""`distilkit rerank` writes runs that `distilkit evaluate` measures."""

import doctest
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distilkit.commands import rerank as module
from distilkit.evaluation.trec import read_run

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(cli: Cli, teachers: list[Path], tiny_beir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs of two models and their ensemble."""
    folder = tmp_path_factory.mktemp("reranked")
    options = ("--depth", 10, "--combine", "mean", "--output", folder / "tiny.trec", "--runs-dir", folder / "runs")
    outcome = cli("rerank", *teachers, "--data", tiny_beir, *options, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {name: str(folder / f"tiny.{name}.trec") for name in ("one", "two", "ensemble")}
    return folder


def test_examples_of_the_docstrings_run() -> None:
    assert doctest.testmod(module).failed == 0


def test_every_system_has_a_run(runs: Path) -> None:
    found = {name: read_run(runs / f"tiny.{name}.trec") for name in ("one", "two", "ensemble")}
    assert {len(one) for one in found.values()} == {8}  # the test queries
    for query, results in found["ensemble"].items():
        one, two = dict(found["one"][query]), dict(found["two"][query])
        assert 0 < len(results) <= 10
        for document, score in results:
            assert np.float32(score) == pytest.approx((one[document] + two[document]) / 2, abs=1e-6)


def test_one_model_keeps_the_name(cli: Cli, teachers: list[Path], tiny_beir: Path, runs: Path, tmp_path: Path) -> None:
    options = ("--depth", 10, "--output", tmp_path / "one.trec", "--runs-dir", runs / "runs")
    outcome = cli("rerank", teachers[0], "--data", tiny_beir, *options)
    assert (outcome.code, outcome.out) == (0, f"{tmp_path / 'one.trec'}\n"), outcome.err
    assert (tmp_path / "one.trec").read_bytes() == (runs / "tiny.one.trec").read_bytes()


def test_evaluate(cli: Cli, runs: Path, tiny_beir: Path) -> None:
    qrels = tiny_beir / "qrels/test.tsv"
    paths = [runs / "tiny.one.trec", f"both={runs / 'tiny.ensemble.trec'}"]
    outcome = cli("evaluate", *paths, "--qrels", qrels, "--measures", "nDCG@10 MRR@10", "--json")
    assert outcome.code == 0, outcome.err
    first, second = json.loads(outcome.out)
    assert (first["name"], second["name"], first["n"]) == ("tiny.one", "both", 8)
    assert list(first["measures"]) == ["nDCG@10", "RR@10"]
    assert first["policy"]["missing"] == 0
    from distilkit.evaluation.measures import evaluate
    from distilkit.evaluation.trec import read_qrels

    assert first["measures"] == evaluate(read_run(runs / "tiny.one.trec"), read_qrels(qrels), "nDCG@10 RR@10").means
    outcome = cli("evaluate", *paths, "--qrels", qrels, "--measures", "nDCG@10")
    header, _, *rows, judged = outcome.out.splitlines()
    assert header.split() == ["run", "nDCG@10"]
    assert [row.split()[0] for row in rows] == ["tiny.one", "both"]
    assert judged == "8 judged queries"


def test_what_is_missing_is_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run.trec").write_text("q1 Q0 a 1 2 t\nq9 Q0 a 1 2 t\n")
    (tmp_path / "qrels").write_text("q1 0 a 1\nq2 0 a 1\n")
    outcome = cli("evaluate", tmp_path / "run.trec", "--qrels", tmp_path / "qrels", "--measures", "RR@10")
    assert outcome.out.splitlines()[2:] == [
        "run  0.5000",
        "2 judged queries",
        "run: 1 of them have no results and score 0",
        "run: the results of 1 queries without judgements are ignored",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("evaluate", "nowhere.trec", "--qrels", "{qrels}", "--measures", "RR@10"), "nowhere.trec: there is no"),
        (("evaluate", "{run}", "{run}", "--qrels", "{qrels}", "--measures", "RR@10"), "two runs are called 'tiny.one'"),
        (("evaluate", "{run}", "--qrels", "none", "--measures", "RR@10"), "--qrels none: there is no such file"),
        (("evaluate", "{run}", "--qrels", "{qrels}", "--measures", "RRR@10"), "no measure is called 'RRR@10'"),
        (("rerank", "{model}", "--data", "nowhere", "--output", "{out}"), "--data nowhere: there is no such folder"),
        (("rerank", "{model}", "{model}", "--data", "{data}", "--output", "{out}"), "two models are called 'one'"),
        (("rerank", "{model}", "--data", "{data}", "--combine", "mean", "--output", "{out}"), "needs two models"),
        (("rerank", "{model}", "--data", "{data}", "--split", "tset", "--output", "{out}"), "no judgements for"),
        (("rerank", "no/such/model", "--data", "{data}", "--output", "{out}"), "there is no model folder"),
    ],
)  # fmt: skip
def test_wrong_input(
    arguments: tuple[str, ...],
    message: str,
    cli: Cli,
    runs: Path,
    teachers: list[Path],
    tiny_beir: Path,
    tmp_path: Path,
) -> None:
    places = {
        "run": runs / "tiny.one.trec",
        "qrels": tiny_beir / "qrels/test.tsv",
        "model": teachers[0],
        "data": tiny_beir,
        "out": tmp_path / "run.trec",
    }
    more = ("--runs-dir", runs / "runs") if arguments[0] == "rerank" else ()
    outcome = cli(*(word.format(**places) for word in arguments), *more)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "run.trec").exists()

"""`distilkit.command` does what the verbs do, and returns what they print with --json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distilkit
from distilkit import UserError

Cli = Callable[..., Any]


@pytest.fixture
def ranking(tmp_path: Path) -> tuple[Path, Path]:
    """Return a TREC run and its judgements."""
    (tmp_path / "mine.trec").write_text("q1 Q0 d1 1 2.0 x\nq1 Q0 d2 2 1.0 x\nq2 Q0 d1 1 2.0 x\n")
    (tmp_path / "qrels.tsv").write_text("q1 0 d2 1\nq2 0 d1 1\n")
    return tmp_path / "mine.trec", tmp_path / "qrels.tsv"


def test_it_returns_what_the_command_line_prints(cli: Cli, ranking: tuple[Path, Path]) -> None:
    run, qrels = ranking
    found = distilkit.command("evaluate", runs=run, qrels=str(qrels), measures="RR@10 nDCG@10")
    printed = cli("evaluate", run, "--qrels", qrels, "--measures", "RR@10 nDCG@10", "--json")
    assert found == json.loads(printed.out)
    assert found[0]["measures"]["RR@10"] == 0.75


def test_rankers_score_collections_from_python(tiny_beir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    options = {"data": tiny_beir, "depth": 3, "bf16": "false", "max_length": 16, "runs_dir": tmp_path / "runs"}
    distilkit.command("rerank", models=tiny_checkpoint, output=tmp_path / "mine.trec", **options)
    assert len((tmp_path / "mine.trec").read_text().splitlines()) == 24
    assert distilkit.command("runs", runs_dir=tmp_path / "runs") == []


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("evalute", {}, "there is no command 'evalute'; did you mean 'evaluate'"),
        ("tui", {}, "there is no command 'tui'"),
        ("evaluate", {"run": "x"}, "evaluate has no option 'run'; did you mean 'runs'"),
        ("evaluate", {"runs": "x", "measures": "RR@10"}, "evaluate needs qrels"),
        ("recipe-keys", {"section": "trian"}, "a recipe has no section 'trian'"),
    ],
)
def test_what_is_wrong_is_said(verb: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        distilkit.command(verb, **options)

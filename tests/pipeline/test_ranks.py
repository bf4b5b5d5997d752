"""Orders that arrive as files, from listwise language models, are targets of losses that read order alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from peers import write_bert

from distilkit.data.teacher_scores import TeacherScores
from distilkit.errors import UserError

ORDER = {"q0": ["d5", "d0", "d2"], "q1": ["d1", "d7"]}


def write_orders(folder: Path, kind: str) -> Path:
    path = folder / f"orders.{kind}"
    if kind == "trec":
        # Scores that say nothing, as those of rerankers that only order.
        lines = [f"{q} Q0 {d} {rank} 0.0 llm" for q, ids in ORDER.items() for rank, d in enumerate(ids, 1)]
    elif kind == "rankllm":
        rows = [
            {"query": {"text": "", "qid": q}, "candidates": [{"docid": d} for d in ids]} for q, ids in ORDER.items()
        ]
        lines = [json.dumps(row) for row in rows]
    else:
        lines = [json.dumps({"query_id": q, "ranking": ids}) for q, ids in ORDER.items()]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(("kind", "format"), [("trec", "trec_ranks"), ("rankllm", None), ("jsonl", None)])
def test_a_rank_from_behind_is_the_score(tmp_path: Path, kind: str, format: str | None) -> None:
    scores = TeacherScores.open(write_orders(tmp_path, kind), format=format)
    found = scores.lookup(["q0", "q0", "q0", "q1", "q1"], ["d5", "d0", "d2", "d1", "d7"])
    assert found.ravel().tolist() == [-1, -2, -3, -1, -2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query_id": "q", "ranking": "abc"}', "expected ranking to be a list"),
        ('{"query": {"qid": "q"}, "candidates": ["d"]}', "expected {query: {qid}, candidates"),
    ],
)
def test_broken_orders(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text(f"{line}\n")
    with pytest.raises(UserError, match=message.replace("{", r"\{").replace("[", r"\[")):
        TeacherScores.open(path)


def test_a_rank_that_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q0 Q0 d0 first 0.0 llm\n")
    with pytest.raises(UserError, match=r"run.trec:1: expected the rank to be a whole number, got 'first'"):
        TeacherScores.open(path, format="trec_ranks")


def test_losses_of_order_learn_from_ranks(tmp_path: Path, tiny_beir: Path, cli: Any) -> None:
    """Every list of the stage is in the file, best first in the order of its ids."""
    source = write_bert(tmp_path / "source", head=True)
    ids = [f"d{row}" for row in range(40)]
    run, orders = tmp_path / "llm.trec", tmp_path / "orders.jsonl"
    run.write_text(
        "".join(f"q{query} Q0 {one} {rank} 0 llm\n" for query in range(20) for rank, one in enumerate(ids, 1))
    )
    orders.write_text("".join(json.dumps({"qid": f"q{query}", "permutation": ids}) + "\n" for query in range(20)))
    for file, more, losses, code in (
        (run, 'targets = "ranks"', '[{ name = "list_mle" }]', 0),
        (orders, "", '[{ name = "adr_mse" }, { name = "lambda_rank" }]', 0),
        (orders, "", '[{ name = "kl_divergence" }]', 2),
        (run, 'targets = "ranks"', '[{ name = "margin_mse" }]', 2),
    ):
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(f"""\
name = "ranks"
[data]
source = "beir"
path = "{tiny_beir}"
max_length = 48
[teacher]
scores = "{file}"
{more}
[student]
source = "{source}"
shape = "L1_H16"
[strategy]
name = "distil"
losses = {losses}
[train]
negatives = 3
max_steps = 2
bf16 = false
[twin]
budget = "none"
[evaluate]
rerank_depth = 3
""")
        name = f"{file.stem}-{code}-{len(losses)}"
        done = cli("run", recipe, "--runs-dir", tmp_path / "runs", "--name", name)
        assert done.code == code, done.err
        if code:
            assert "holds ranks, and " in done.err
            assert "expected list_mle or lambda_rank or adr_mse" in done.err


def test_ranks_of_what_has_none(tmp_path: Path, tiny_beir: Path, cli: Any) -> None:
    file = tmp_path / "scores.tsv"
    file.write_text("1.0\t0.5\tq0\td0\td1\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"""\
name = "ranks"
[data]
source = "beir"
path = "{tiny_beir}"
[teacher]
scores = "{file}"
targets = "ranks"
[student]
source = "{write_bert(tmp_path / "source")}"
[strategy]
name = "margin_mse"
""")
    done = cli("run", recipe, "--dry-run", "--runs-dir", tmp_path / "runs")
    assert done.code == 2
    assert "expected a TREC run or permutations" in done.err

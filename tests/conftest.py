"""What every test shares: one thread, no network, and tiny collections and checkpoints made on the spot."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from made_once import made_once

# Before torch is imported: tests beside each other must not fight over the cores, nor reach for a hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

SHARED = Path(__file__).parents[2] / "shared"
TOPICS = ["apple", "river", "engine", "violin", "desert", "copper", "planet", "harbour", "candle", "falcon"]
WORDS = ["red", "old", "slow", "bright", "small", "cold", "deep", "quiet", "sharp", "round", "the", "of", "and", "what"]


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    """Run a command line in this process."""
    from distilkit.cli import main

    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["distilkit", *map(str, arguments)]
    code: object = 0
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as done:
        code = done.code
    finally:
        sys.argv = before
    assert isinstance(code, int), f"left with {code!r}"
    return Outcome(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Return a function from a real collection's name to its folder; it skips the test where that is missing."""

    def find(name: str) -> Path:
        folder = SHARED / "data" / name
        if not folder.is_dir():
            pytest.skip(f"the collection {name} is not on this machine")
        return folder

    return find


@pytest.fixture(scope="session")
def tiny_beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a BEIR folder of 40 passages and 34 queries (20 train, 6 dev, 8 test); topics tell what is relevant."""
    return made_once(tmp_path_factory, "beir", _write_beir) / "tiny"


def _write_beir(parent: Path) -> None:
    folder = parent / "tiny"
    (folder / "qrels").mkdir(parents=True)
    texts = [f"the {WORDS[i % 10]} {TOPICS[i % 10]} of {WORDS[(i // 10 + 3) % 10]} {TOPICS[i // 4]}" for i in range(40)]
    passages = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    _write_lines(folder / "corpus.jsonl", passages)
    queries, qrels = [], {"train": [], "dev": [], "test": []}
    splits = ["train"] * 20 + ["dev"] * 6 + ["test"] * 8
    for i, split in enumerate(splits):
        words = passages[i]["text"].split()
        queries.append({"_id": f"q{i}", "text": f"what {words[2]} {words[4]}"})
        qrels[split].append((f"q{i}", f"d{i}"))
    _write_lines(folder / "queries.jsonl", queries)
    for split, rows in qrels.items():
        text = "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{passage}\t1\n" for query, passage in rows)
        (folder / "qrels" / f"{split}.tsv").write_text(text)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random four-layer BERT with a ranking head (L4_H16, 2 heads), saved as on the hub."""
    parent = made_once(tmp_path_factory, "checkpoint", lambda folder: write_checkpoint(folder / "tiny-bert"))
    return parent / "tiny-bert"


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., None]:
    """Return `write_checkpoint`, for tests that need rankers of other sizes."""
    return write_checkpoint


@pytest.fixture(scope="session")
def cli() -> Callable[..., Outcome]:
    """Return a function that runs a command line in this process, as the installed script would."""
    return call


@pytest.fixture(scope="session")
def shell() -> Callable[..., Outcome]:
    """Return a function that runs a command line in a process of its own."""

    def run(*arguments: object, env: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> Outcome:
        command = [sys.executable, *options, "-m", "distilkit", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, timeout=300)
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory, tiny_beir: Path, tiny_checkpoint: Path) -> Path:
    """Return a recipe that trains teacher, student and twin in seconds, in fp32."""
    text = f"""\
name = "tiny"

[data]
source = "beir"
path = {json.dumps(str(tiny_beir))}
max_length = 16

[teacher]
model = {json.dumps(str(tiny_checkpoint))}
fine_tune = "fine_tune(listwise=1.0)"

[teacher.train]
learning_rate = 1e-3
num_train_epochs = 2.0
per_device_train_batch_size = 4
negatives = 2
bf16 = false

[student]
shape = "L2_H16"
start = "first_layers"

[strategy]
name = "simplified_tinybert"

[train]
learning_rate = 1e-3
num_train_epochs = 2.0
per_device_train_batch_size = 8
negatives = 2
bf16 = false

[evaluate]
rerank_depth = 10
bf16 = false
"""
    return made_once(tmp_path_factory, "recipe", lambda folder: (folder / "tiny.toml").write_text(text)) / "tiny.toml"


def write_checkpoint(folder: Path, layers: int = 4, hidden: int = 16, heads: int = 2, seed: int = 0) -> None:
    """Save a random BERT ranker and a word tokenizer in the hub's layout."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TOPICS, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    specials = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    fast: Any = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)
    fast.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    fast.save_pretrained(folder)


def _write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

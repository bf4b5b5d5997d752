"""A collection, a checkpoint and a recipe of a size that trains in seconds, written on the spot."""

import json
from pathlib import Path
from typing import Any

TOPICS = ["apple", "river", "engine", "violin", "desert", "copper", "planet", "harbour", "candle", "falcon"]
WORDS = ["red", "old", "slow", "bright", "small", "cold", "deep", "quiet", "sharp", "round", "the", "of", "and", "what"]


def write_beir(folder: Path) -> None:
    """Write 40 passages and 34 queries (20 train, 6 dev, 8 test); topics tell what is relevant."""
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


def recipe_text(collection: Path, checkpoint: Path) -> str:
    """Return a recipe that trains teacher, student and twin in seconds, in fp32."""
    return f"""\
name = "tiny"

[data]
source = "beir"
path = {json.dumps(str(collection))}
max_length = 16

[teacher]
model = {json.dumps(str(checkpoint))}
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

"""Teachers of every family score with tokenizers of their own, alone and as an ensemble."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

from distilkit.evaluation.trec import read_run

Cli = Callable[..., Any]
SIZE = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "num_labels": 1}
FAMILIES = ["albert", "distilbert", "electra", "roberta"]


def texts_of(folder: Path) -> dict[str, str]:
    lines = [line for name in ("queries", "corpus") for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in lines]
    return {row["_id"]: row["text"] for row in rows}


def tokenizer_of(family: str, texts: list[str]) -> Any:
    """Return a tokenizer of a family's kind: pieces of words, of sentences (ALBERT), of bytes (RoBERTa)."""
    match family:
        case "albert":
            specials = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
            backend = Tokenizer(models.Unigram())
            backend.pre_tokenizer = pre_tokenizers.Metaspace()
            backend.decoder = decoders.Metaspace()
            trainer: Any = trainers.UnigramTrainer(
                vocab_size=90, special_tokens=specials, unk_token="<unk>", show_progress=False
            )
        case "roberta":
            specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
            backend = Tokenizer(models.BPE(unk_token="<unk>"))
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=specials, show_progress=False)
        case _:
            specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            backend.normalizer = normalizers.BertNormalizer()
            backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            trainer = trainers.WordPieceTrainer(vocab_size=100, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    ids: dict[str, Any] = {name: backend.token_to_id(name) for name in specials}
    if family == "roberta":
        backend.post_processor = processors.RobertaProcessing(("</s>", ids["</s>"]), ("<s>", ids["<s>"]))
        named = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    else:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
        )
        named = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": specials[0], "unk_token": specials[1]}
    inputs = ["input_ids", "attention_mask"] + (["token_type_ids"] if family in ("albert", "electra") else [])
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **named)


def config_of(family: str, tokenizer: Any) -> Any:
    most = {"vocab_size": len(tokenizer), "max_position_embeddings": 66, "pad_token_id": tokenizer.pad_token_id}
    match family:
        case "albert":
            return AlbertConfig(**SIZE, **most, embedding_size=8)
        case "electra":
            return ElectraConfig(**SIZE, **most, embedding_size=8)
        case "roberta":
            return RobertaConfig(**SIZE, **most, type_vocab_size=1)
        case _:
            size = {"n_layers": 2, "n_heads": 2, "dim": 16, "hidden_dim": 32, "num_labels": 1}
            return DistilBertConfig(**size, **most)


@pytest.fixture(scope="module")
def family_teachers(tmp_path_factory: pytest.TempPathFactory, tiny_beir: Path) -> Path:
    """Return the folder of a ranker of each family, each with a vocabulary of its own."""
    folder, texts = tmp_path_factory.mktemp("families"), list(texts_of(tiny_beir).values())
    for family in FAMILIES:
        tokenizer = tokenizer_of(family, texts)
        torch.manual_seed(1)
        AutoModelForSequenceClassification.from_config(config_of(family, tokenizer)).save_pretrained(folder / family)
        tokenizer.save_pretrained(folder / family)
        weights = load_file(folder / family / "model.safetensors")
        save_file(
            {name: weight * 10 if weight.dim() == 2 else weight for name, weight in weights.items()},
            folder / family / "model.safetensors",
            metadata={"format": "pt"},
        )
    return folder


def alone(model: Path, query: str, passage: str) -> float:
    """Return a pair's logit by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    ranker = AutoModelForSequenceClassification.from_pretrained(model)
    encoded = tokenizer(query, passage, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        return float(ranker(**encoded).logits[0, 0])


def test_each_scores_with_its_own_tokenizer(
    cli: Cli, family_teachers: Path, pairs: Path, tiny_beir: Path, tmp_path: Path
) -> None:
    models = [word for family in FAMILIES for word in ("--model", family_teachers / family)]
    fixed = ("--pairs", pairs, "--data", tiny_beir, "--max-length", 32, "--output", tmp_path / "scores.parquet")
    outcome = cli("score", *models, *fixed)
    assert outcome.code == 0, outcome.err
    table = pq.read_table(tmp_path / "scores.parquet")
    texts = texts_of(tiny_beir)
    for row in table.to_pylist()[:3]:
        for family in FAMILIES:
            expected = alone(family_teachers / family, texts[row["query_id"]], texts[row["doc_id"]])
            assert row[family] == pytest.approx(expected, rel=1e-4, abs=1e-4), family
        assert row["score"] == pytest.approx(np.mean([row[family] for family in FAMILIES]), rel=1e-5, abs=1e-6)
    for family in FAMILIES:
        assert np.ptp(table[family].to_numpy()) > 0.01


def test_an_ensemble_of_families_reranks(cli: Cli, family_teachers: Path, tiny_beir: Path, tmp_path: Path) -> None:
    models = [family_teachers / family for family in FAMILIES]
    options = ("--depth", 4, "--bf16", "false", "--combine", "mean", "--runs-dir", tmp_path / "runs")
    outcome = cli("rerank", *models, "--data", tiny_beir, "--output", tmp_path / "run.trec", *options)
    assert outcome.code == 0, outcome.err
    texts = texts_of(tiny_beir)
    runs = {name: read_run(tmp_path / f"run.{name}.trec") for name in (*FAMILIES, "ensemble")}
    query, results = next(iter(runs["ensemble"].items()))
    for document, score in results:
        each = {family: dict(runs[family][query])[document] for family in FAMILIES}
        assert score == pytest.approx(np.mean(list(each.values())), abs=1e-5)
        expected = alone(family_teachers / "roberta", texts[query], texts[document])
        assert each["roberta"] == pytest.approx(expected, rel=1e-4, abs=1e-4)

"""Tiny checkpoints as other libraries write them, and our scores beside theirs: texts, tokenizers, wide weights."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from distilkit.data.tokens import TokenStore
from distilkit.evaluation.rerank import score_pairs
from distilkit.scoring.rankers import OpenRanker, open_ranker
from distilkit.training.processes import Processes

os.environ["HF_HUB_OFFLINE"] = "1"

WORDS = "what the red old apple river engine violin desert copper planet harbour candle falcon query passage".split()  # noqa: SIM905
QUERIES = [
    "what red apple",
    "the old river!",
    "violin",
    "copper planet harbour candle falcon the red old engine desert",
]
DOCUMENTS = [
    "the red apple, the old river",
    "engine of the desert. copper planet?",
    "violin",
    "harbour candle falcon " * 6,
    "the planet and the violin of the old harbour",
]
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def wordpiece(markers: Sequence[str] = ("[unused0]", "[unused1]"), lower: bool = True) -> Any:
    """Return a tokenizer of BERT's conventions, letters and a few words."""
    specials, letters = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], [*"abcdefghijklmnopqrstuvwxyz.,!?:"]
    vocabulary = [*specials, *markers, *letters, *(f"##{one}" for one in letters), *WORDS]
    backend = Tokenizer(models.WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=lower)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, model_input_names=inputs, **names)


def sentencepiece(kind: str = "xlm-roberta") -> Any:
    """Return a tokenizer of pieces of sentences, with the special tokens of XLM-RoBERTa, ALBERT or T5."""
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] if kind == "xlm-roberta" else ["<pad>", "</s>", "<unk>"]
    if kind in ("albert", "deberta-v2"):
        specials = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    unknown = next(one for one in specials if "unk" in one.lower())
    backend = Tokenizer(models.Unigram())
    backend.normalizer, backend.pre_tokenizer = normalizers.NFKC(), pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=specials, unk_token=unknown, show_progress=False, initial_alphabet=[*".,!?:"]
    )
    backend.train_from_iterator([" ".join(WORDS), *QUERIES, *DOCUMENTS] * 4, trainer)
    around = {"xlm-roberta": ("<s> ", "</s>"), "t5": ("", "</s>")}.get(kind, ("[CLS] ", "[SEP]"))
    first, last = around
    middle = f"{last} {last}" if kind == "xlm-roberta" else last
    single, pair = f"{first}$A {last}", f"{first}$A {middle} $B {last}"
    names = {"pad_token": next(one for one in specials if "pad" in one.lower()), "unk_token": unknown}
    if kind == "t5":
        names["eos_token"] = "</s>"
    else:
        names |= {"cls_token": first.strip(), "sep_token": last, "mask_token": specials[-1]}
        if kind != "xlm-roberta":
            pair = f"{first}$A {last} $B:1 {last}:1"
    used = [(one, backend.token_to_id(one)) for one in dict.fromkeys([first.strip(), last]) if one]
    backend.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=used)
    inputs = ["input_ids", "attention_mask"]
    if kind in ("albert", "deberta-v2"):
        inputs.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, model_input_names=inputs, **names)


def bytelevel(kind: str = "roberta") -> Any:
    """Return a tokenizer of bytes, with the special tokens of RoBERTa, ModernBERT or a decoder."""
    specials = {
        "roberta": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        "modernbert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"],
        "decoder": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    }[kind]
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([*QUERIES, *DOCUMENTS, "yes no true false"] * 4, trainer)
    inputs = ["input_ids", "attention_mask"]
    if kind == "decoder":
        names: dict[str, Any] = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
        return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, model_input_names=inputs, **names)
    first, last = ("<s>", "</s>") if kind == "roberta" else ("[CLS]", "[SEP]")
    middle = f"{last} {last}" if kind == "roberta" else last
    backend.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {middle} $B {last}",
        special_tokens=[(one, backend.token_to_id(one)) for one in (first, last)],
    )
    pad, unknown, mask = ("<pad>", "<unk>", "<mask>") if kind == "roberta" else ("[PAD]", "[UNK]", "[MASK]")
    names = {"pad_token": pad, "unk_token": unknown, "cls_token": first, "sep_token": last, "mask_token": mask}
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, model_input_names=inputs, **names)


def spread(model: Any, seed: int = 0) -> Any:
    """Make weights so wide that scores differ from text to text."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            norm = "norm" in name.lower() and name.endswith("weight") and weight.dim() == 1
            weight.copy_(1 + 0.1 * noise if norm else noise * (0.25 if weight.dim() > 1 else 0.05))
    return model.eval()


def bert_config(tokenizer: Any, **changes: Any) -> Any:
    """Return the configuration of a tiny BERT of a tokenizer's vocabulary."""
    return BertConfig(**{"vocab_size": len(tokenizer), "max_position_embeddings": 64, **SMALL, **changes})


def write_bert(folder: Path, tokenizer: Any = None, head: bool = False, **changes: Any) -> Path:
    """Write a tiny BERT, an encoder or a cross-encoder, with its tokenizer."""
    tokenizer = tokenizer or wordpiece()
    config = bert_config(tokenizer, num_labels=1, **changes)
    model = BertForSequenceClassification(config) if head else BertModel(config, add_pooling_layer=False)
    spread(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def store_of(tokenizer: Any, texts: Sequence[str], around: tuple[str, str] = ("", "")) -> TokenStore:
    """Return the tokens of texts, in memory."""
    return TokenStore.of([f"{around[0]}{text}{around[1]}" for text in texts], tokenizer, 10_000)


def our_scores(
    folder: Path | str | OpenRanker,
    queries: Sequence[str] = QUERIES,
    documents: Sequence[str] = DOCUMENTS,
    architecture: str | None = None,
) -> Tensor:
    """Return the score of every query with every document, `[Q, D]`, as `distilkit score` computes them."""
    opened = folder if isinstance(folder, OpenRanker) else open_ranker(str(folder), architecture)
    stores = [
        store_of(opened.tokenizer, texts, around)
        for texts, around in zip((queries, documents), opened.prefixes.sides, strict=True)
    ]
    rows = np.indices((len(queries), len(documents))).reshape(2, -1)
    found = score_pairs(
        opened.ranker,
        opened.tokens(*stores),
        *rows,
        batch_size=7,
        precision="fp32",
        processes=Processes(),
        progress=lambda done, total: None,
    )
    return torch.tensor(found, dtype=torch.float32).view(len(queries), len(documents))


def pairs_of(queries: Sequence[str] = QUERIES, documents: Sequence[str] = DOCUMENTS) -> list[tuple[str, str]]:
    """Return every query with every document."""
    return [(query, document) for query in queries for document in documents]


Cli = Callable[..., Any]

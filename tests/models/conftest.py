"""Tiny random models and tokenizers, in memory and saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_config
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

TEXT = "the cat sat on a mat and dog ran off with my red ball how many cats sit where did it go"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(TEXT.split())]


@pytest.fixture
def tiny() -> Callable[..., PreTrainedModel]:
    """Return a function that makes a tiny model of a family, in evaluation mode."""

    def make(family: str = "bert", seed: int = 0, **changes: Any) -> PreTrainedModel:
        torch.manual_seed(seed)
        attention = changes.pop("attention", "eager")
        config = tiny_config(family, **changes)
        return AutoModelForSequenceClassification.from_config(config, attn_implementation=attention).eval()

    return make


@pytest.fixture
def tokenizer() -> Any:
    """Return a word tokenizer of BERT's conventions."""
    backend = Tokenizer(models.WordPiece({word: index for index, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", model_input_names=names, **special)


@pytest.fixture
def saved(tmp_path: Path, tiny: Callable[..., PreTrainedModel], tokenizer: Any) -> Callable[..., Path]:
    """Return a function that saves a tiny model with its tokenizer and returns the folder."""

    def save(name: str = "model", family: str = "bert", **changes: Any) -> Path:
        model = tiny(family, **changes)
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return tmp_path / name

    return save

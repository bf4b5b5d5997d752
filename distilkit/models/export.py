"""Saving a cross-encoder so that transformers and sentence-transformers load it and score as we do."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from distilkit.files import atomic_folder, read_json, write_json, write_text
from distilkit.models.card import model_card
from distilkit.models.cat import BertCat
from distilkit.models.silence import silent

# Without it sentence-transformers applies a sigmoid to the scores, which then tie where it saturates.
ACTIVATION = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}
# How a tokenizer was loaded, and a length it was once called with; transformers saves both with it.
STALE_OPTIONS = ("is_local", "local_files_only", "max_length")
# What a saved ranker's config.json says about it to us.
ENTRY = "distilkit"
TAGS = ["sentence-transformers", "cross-encoder", "reranker", "distillation", "distilkit"]


def save_cat(
    model: BertCat,
    tokenizer: Any,
    folder: Path,
    *,
    max_length: int,
    name: str | None = None,
    base_model: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Save a cross-encoder with one label in float32, its tokenizer and a model card, in one step.

    Args:
        model: the ranker; a head with two labels is saved as the one of their difference, which is its score
        tokenizer: its tokenizer
        folder: the folder to write, replaced if it exists
        max_length: the length in tokens that pairs are cut to
        name: the model card's title; by default the folder's name
        base_model: the hub id of the model it was made from, if it has one
        facts: what else the card tells, by name
    """
    with atomic_folder(folder) as temporary, silent():
        _single_label(model).save_pretrained(temporary)
        save_tokenizer(tokenizer, temporary, max_length)
        config = read_json(temporary / "config.json")
        entry = {"architecture": "bert_cat", "options": {}, "max_length": max_length}
        write_json(temporary / "config.json", {**config, "sentence_transformers": ACTIVATION, ENTRY: entry})
        write_text(temporary / "README.md", _card(name or folder.name, max_length, base_model, facts or {}))


def save_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    """Save a tokenizer that cuts to a length of ours and pads to none."""
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.model_max_length = max_length
    if getattr(tokenizer, "backend_tokenizer", None) is not None:
        # Some published tokenizers pad and cut to a length of their own unless they are told otherwise.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    options = read_json(folder / "tokenizer_config.json")
    kept = {name: value for name, value in options.items() if name not in STALE_OPTIONS}
    write_json(folder / "tokenizer_config.json", kept)


def _single_label(model: BertCat) -> PreTrainedModel:
    """Return the model in float32 with one label, itself where it is that already."""
    plain = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    if plain and model.num_labels == 1:
        return model.model
    single = copy.deepcopy(model.model).float()
    if model.num_labels == 2:
        single.config.num_labels = 1
        single.num_labels = 1
        _subtract_labels(_last_linear(single))
    return single


@torch.no_grad()
def _subtract_labels(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(layer.weight[1:] - layer.weight[:1])
    layer.bias = nn.Parameter(layer.bias[1:] - layer.bias[:1])
    layer.out_features = 1


def _last_linear(model: PreTrainedModel) -> nn.Linear:
    head = model.classifier
    layers = [module for module in head.modules() if isinstance(module, nn.Linear) and module.out_features == 2]
    return layers[-1]


def _card(name: str, max_length: int, base_model: str | None, facts: Mapping[str, Any]) -> str:
    front_matter: dict[str, Any] = {"library_name": "sentence-transformers", "pipeline_tag": "text-ranking"}
    front_matter["tags"] = TAGS
    if base_model is not None:
        front_matter["base_model"] = base_model
    text = (
        "A cross-encoder that scores how well a passage answers a query, distilled with distilkit. "
        "Its scores are raw logits: higher is better. It loads in transformers "
        "(`AutoModelForSequenceClassification`) and in sentence-transformers (`CrossEncoder`), and cuts pairs to "
        f"{max_length} tokens."
    )
    return model_card(name, text, front_matter, facts)

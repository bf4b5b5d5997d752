"""The checkpoints of Hofstätter et al. 2020, in the layouts they were released in.

Their classes loaded a language model while they were built, which transformers no longer allows, and their
configurations do not hold its sizes: those are read off the weights.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizerFast,
    PretrainedConfig,
    PreTrainedModel,
)

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.models.cat import BertCat
from distilkit.models.options import ColBertOptions, PreTtrOptions
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent
from distilkit.models.weights import load_weights, read_weights, weight_names

# The language models that the released configurations name; of their fields the number of heads is not in the weights.
KNOWN_BASES = {
    "distilbert-base-uncased": DistilBertConfig,
    "distilbert-base-cased": DistilBertConfig,
    "bert-base-uncased": BertConfig,
}
LAYER = re.compile(r"(?:transformer|encoder)\.layer\.(\d+)\.")


def published_architecture(names: list[str]) -> str | None:
    """Return which of the released layouts the names of a checkpoint's weights are, if any."""
    wrapped = any(name.startswith("bert_model.") for name in names)
    if wrapped and "_classification_layer.weight" in names:
        return "bert_cat"
    if wrapped and "compressor.weight" in names:
        return "colbert"
    if not wrapped and "_classification_layer.weight" in names:
        return "prettr"
    return None


def published_options(architecture: str, weights: Mapping[str, Tensor]) -> Any:
    """Return the options that a released checkpoint is used with on its card, positions of PreTTR's documents apart."""
    if architecture == "colbert":
        dim = len(weights["compressor.weight"])
        return ColBertOptions(dim=dim, bias="compressor.bias" in weights, mask_position="after_sep")
    # Its configuration has no such key, or the class attribute's value.
    return PreTtrOptions(join_layer=3, query_masks=8, mask_position="after_sep")


def base_config(values: Mapping[str, Any], weights: Mapping[str, Tensor], where: Path) -> PretrainedConfig:
    """Return the configuration of a released checkpoint's encoder, given its weights by their bare names."""
    base = values.get("bert_model")
    config = _named_config(base, where) if base is not None else DistilBertConfig.from_dict(dict(values))
    try:
        words = weights["embeddings.word_embeddings.weight"]
        positions = weights["embeddings.position_embeddings.weight"]
        inner = "ffn.lin1.weight" if isinstance(config, DistilBertConfig) else "intermediate.dense.weight"
        stack = "transformer" if isinstance(config, DistilBertConfig) else "encoder"
        feed_forward = weights[f"{stack}.layer.0.{inner}"]
    except KeyError as error:
        raise UserError(f"{where}: the weight {error.args[0]} is missing") from None
    config.vocab_size, config.hidden_size = words.shape
    config.max_position_embeddings = len(positions)
    config.num_hidden_layers = 1 + max(int(match[1]) for name in weights if (match := LAYER.search(name)))
    setattr(config, "hidden_dim" if isinstance(config, DistilBertConfig) else "intermediate_size", len(feed_forward))
    return config


def is_published_cat(folder: Path) -> bool:
    """Tell whether a folder holds a released BERT_CAT."""
    return base_name(folder) is not None and published_architecture(weight_names(folder)) == "bert_cat"


def base_name(folder: Path) -> str | None:
    """Return the language model that a released configuration names; None for any other."""
    try:
        values = read_json(folder / "config.json")
    except (OSError, ValueError):
        return None
    return values.get("bert_model") if isinstance(values, dict) else None


def published_tokenizer(folder: Path, base: str) -> Any:
    """Return the tokenizer of a released checkpoint: its folder's, or that of the language model it was made from."""
    if any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        # The folder's own configuration names no family that transformers knows.
        return DistilBertTokenizerFast.from_pretrained(folder, local_files_only=True)
    return AutoTokenizer.from_pretrained(base, trust_remote_code=False)


def published_cat(folder: Path, dropout: float | None, dtype: torch.dtype) -> BertCat:
    """Return a released BERT_CAT as a sequence classifier of transformers, with the same scores.

    On DistilBERT the released head is a linear map w of the first state, where transformers puts a layer with a ReLU
    before it; since w·x = relu(w·x) - relu(-w·x), two units of that layer make the same score.
    """
    weights = {name.removeprefix("bert_model."): weight for name, weight in read_weights(folder, dtype).items()}
    weights.pop("embeddings.position_ids", None)
    config = base_config(read_json(folder / "config.json"), weights, folder)
    config.num_labels = 1
    set_dropout(config, dropout)
    distil = isinstance(config, DistilBertConfig)
    with silent():
        model: PreTrainedModel = (DistilBertForSequenceClassification if distil else BertForSequenceClassification)(
            config
        )
    prefix, head = f"{model.base_model_prefix}.", "_classification_layer."
    renamed = {
        name.replace(head, "classifier.") if name.startswith(head) else prefix + name: weight
        for name, weight in weights.items()
    }
    if distil:
        _fold_head(renamed)
    load_weights(model.to(dtype), renamed, folder)
    return BertCat(model)


def _fold_head(weights: dict[str, Tensor]) -> None:
    head = weights["classifier.weight"]
    first = torch.zeros(head.shape[1], head.shape[1], dtype=head.dtype)
    first[0], first[1] = head[0], -head[0]
    second = torch.zeros_like(head)
    second[0, 0], second[0, 1] = 1, -1
    weights["pre_classifier.weight"], weights["pre_classifier.bias"] = first, torch.zeros(len(first), dtype=head.dtype)
    weights["classifier.weight"] = second


def _named_config(base: str, where: Path) -> PretrainedConfig:
    if base in KNOWN_BASES:
        return KNOWN_BASES[base]()
    try:
        with silent():
            config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    except (OSError, ValueError, KeyError):
        raise UserError(f"{where / 'config.json'}: bert_model = {base!r} is no model that can be found") from None
    if not isinstance(config, DistilBertConfig | BertConfig):
        raise UserError(f"{where / 'config.json'}: bert_model = {base!r} is neither a BERT nor a DistilBERT")
    return config

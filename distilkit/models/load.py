"""Loading cross-encoders and tokenizers from folders."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)

from distilkit.errors import UserError
from distilkit.models.cat import BertCat
from distilkit.models.families import require_classifier
from distilkit.models.published import base_name, is_published_cat, published_cat, published_tokenizer
from distilkit.models.shape import set_dropout
from distilkit.models.silence import silent

LOCAL = {"local_files_only": True, "trust_remote_code": False}
# The names under which transformers' sequence classifiers keep their last layers.
HEADS = ("classifier.", "score.")
LAYER = re.compile(r"(?:^|\.)layers?\.\d+\.")
# Positions are counted, not learned, and old versions of transformers stored them.
UNREAD = ("position_ids", "token_type_ids")


def load_cat(
    folder: Path,
    *,
    num_labels: int | None = None,
    dropout: float | None = None,
    dtype: torch.dtype = torch.float32,
    require_head: bool = False,
) -> BertCat:
    """Load a cross-encoder, in evaluation mode; a head that the folder does not hold is drawn at random.

    Args:
        folder: a model folder, see `references.local_folder`
        num_labels: the head's number of labels; by default that of the folder's head, or 1 without one
        dropout: sets every dropout probability of the model; by default they stay as configured
        dtype: the dtype of the weights
        require_head: for a model that is used as it is: raise UserError if any weight would be drawn at random
    """
    if is_published_cat(folder):
        if num_labels not in (None, 1):
            raise UserError(f"{folder} has a head of 1 label, not {num_labels}")
        return published_cat(folder, dropout, dtype).eval()
    try:
        with silent():
            config = AutoConfig.from_pretrained(folder, **LOCAL)
            headed = _has_head(folder, config)
            config.num_labels = num_labels or (config.num_labels if headed else 1)
            set_dropout(config, dropout)
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **LOCAL,
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder} cannot be loaded as a cross-encoder: {_first_line(error)}") from error
    _require_encoder(folder, model, report)
    require_known(folder, report, (f"{model.base_model_prefix}.", *HEADS) if require_head else ())
    if require_head and not (headed and not drawn_weights(report)):
        raise UserError(f"{folder} is not a trained cross-encoder: it holds no head that scores; fine-tune it first")
    if config.num_labels > 2:
        raise UserError(f"{folder} has a head of {config.num_labels} labels: a ranker's has 1 or 2")
    ranker = BertCat(model).eval()
    require_classifier(ranker.logits, config, folder)
    return ranker


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer of a model folder; raises UserError where there is none, or one without a padding token."""
    try:
        with silent():
            base = base_name(folder)
            tokenizer = (
                AutoTokenizer.from_pretrained(folder, **LOCAL) if base is None else published_tokenizer(folder, base)
            )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} holds no tokenizer that can be loaded: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder} holds a tokenizer without a padding token, which batches of unequal texts need")
    return tokenizer


def require_fit(tokenizer: Any, config: PretrainedConfig, folder: Path) -> None:
    """Raise UserError for a tokenizer that makes token ids which the model has no embeddings for."""
    # Words that were added and are not special may never come up.
    largest = max(
        [*tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False).values(), *tokenizer.all_special_ids]
    )
    if largest >= config.vocab_size:
        raise UserError(
            f"{folder}: its tokenizer and its model are of different vocabularies: a token has the number {largest}, "
            f"and the model has embeddings of {config.vocab_size}"
        )


def _has_head(folder: Path, config: PretrainedConfig) -> bool:
    """Tell whether a folder's weights have the head of a sequence classifier (a token classifier looks alike)."""
    if not all(name.endswith("ForSequenceClassification") for name in config.architectures or ()):
        return False
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            if any(name.startswith(HEADS) for name in weights.keys()):  # noqa: SIM118 (it is no mapping)
                return True
    return False


def _require_encoder(folder: Path, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Raise UserError if loading drew an encoder weight at random, the pooler apart, which serves the head."""
    encoder = f"{model.base_model_prefix}."
    absent = [name for name in drawn_weights(report) if name.startswith(encoder) and ".pooler" not in name]
    if absent:
        raise UserError(f"{folder} does not hold the weights that its config.json describes: {absent[0]} is missing")


def require_known(folder: Path, report: dict[str, Any], known: tuple[str, ...] = ()) -> None:
    """Raise UserError if a folder holds weights of layers, or under one of some prefixes, that the model has not."""
    strange = sorted(
        name
        for name in report["unexpected_keys"]
        if (LAYER.search(name) or name.startswith(known)) and not (name.endswith(UNREAD) or ".pooler." in f".{name}")
    )
    if strange:
        more = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        raise UserError(f"{folder}: the weight {strange[0]} is unexpected{more}: its config.json describes no such one")


def drawn_weights(report: dict[str, Any]) -> list[str]:
    """Return the names of the weights that loading drew at random, absent or of another size."""
    mismatched = [entry[0] if isinstance(entry, tuple) else entry for entry in report["mismatched_keys"]]
    return sorted([*report["missing_keys"], *mismatched])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

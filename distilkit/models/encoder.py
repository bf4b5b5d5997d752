"""The encoders below the rankers: built without heads, run as a whole, and how long their texts can be."""

import copy
import inspect
import re
from functools import cache
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from distilkit.models.attention import first_token_alone, use_our_attention
from distilkit.models.batch import TokenBatch
from distilkit.models.silence import silent

# Families that count positions from behind that of their padding.
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
# Families whose model has a decoder, and the class of their encoder alone.
HALVES = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
# Tables of positions, which are what limits a text; turned or biased by distance, positions have no end.
POSITIONS = re.compile(r"(?:^|\.)(?:\w*position_embeddings?|embed_positions|wpe)$")


def encoder_class(config: PretrainedConfig) -> Any:
    """Return the class of transformers that is a configured model's encoder."""
    if config.model_type in HALVES:
        return getattr(transformers, HALVES[config.model_type])
    with silent(), torch.device("meta"):
        return type(AutoModel.from_config(copy.deepcopy(config)))


def encoder_of(config: PretrainedConfig) -> PreTrainedModel:
    """Return an encoder with random weights, without the pooler, which no ranker here but BERT_CAT reads."""
    with silent():
        half = HALVES.get(config.model_type)
        made = AutoModel.from_config(config) if half is None else getattr(transformers, half)(config)
        return bare_encoder(cast(PreTrainedModel, made))


def bare_encoder(encoder: PreTrainedModel) -> PreTrainedModel:
    """Return the same encoder on our attention and without its pooler."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    use_our_attention(encoder)
    return encoder


def layer_count(config: PretrainedConfig) -> int:
    """Return how many layers a forward pass goes through; ALBERT has several in a group."""
    return int(config.num_hidden_layers * getattr(config, "inner_group_num", 1))


def first_position(config: PretrainedConfig) -> int:
    """Return the position of a text's first token."""
    return int(config.pad_token_id) + 1 if config.model_type in AFTER_PADDING else 0


def position_room(model: nn.Module | None) -> int | None:
    """Return the most tokens that a model has positions for, None where no table of them limits a text."""
    tables = [] if model is None else [one for name, one in model.named_modules() if POSITIONS.search(name)]
    rooms = []
    for table in tables:
        rows = getattr(table, "num_embeddings", None)
        if rows is not None:
            offset = getattr(table, "offset", None)
            rooms.append(rows - (first_position(model.config) if offset is None else offset))  # type: ignore[union-attr]
    return min(rooms, default=None)


@cache
def _takes_types(kind: Any) -> bool:
    return "token_type_ids" in inspect.signature(kind.forward).parameters


def encoder_inputs(model: PreTrainedModel, batch: TokenBatch) -> dict[str, Tensor]:
    """Return what a model takes of a batch."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    # DistilBERT has no token types, and RoBERTa's table has one row; XLNet's has no size of its own.
    types, kind = batch.token_type_ids, cast(Any, type(model))
    if types is not None and _takes_types(kind) and getattr(model.config, "type_vocab_size", 2) > 1:
        inputs["token_type_ids"] = types
    return inputs


def last_states(encoder: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's states, shape `[B, L, H]`."""
    return cast(Tensor, encoder(**encoder_inputs(encoder, batch)).last_hidden_state)


def first_states(encoder: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's states of the first tokens, shape `[B, H]`; the layer computes no others if it can."""
    with first_token_alone():
        return last_states(encoder, batch)[:, 0]

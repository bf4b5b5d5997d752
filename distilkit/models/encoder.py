"""The encoders below the rankers: built without heads, and run as a whole."""

from typing import Any, cast

from torch import Tensor
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from distilkit.models.batch import TokenBatch
from distilkit.models.first_token import first_token_alone
from distilkit.models.internals import use_our_attention
from distilkit.models.silence import silent


def encoder_of(config: PretrainedConfig) -> PreTrainedModel:
    """Return an encoder with random weights, without the pooler, which no ranker here but BERT_CAT reads."""
    with silent():
        encoder = cast(PreTrainedModel, AutoModel.from_config(config))
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    use_our_attention(encoder)
    return encoder


def layer_count(config: PretrainedConfig) -> int:
    """Return how many layers a forward pass goes through; ALBERT has several in a group."""
    return int(config.num_hidden_layers * getattr(config, "inner_group_num", 1))


def encoder_inputs(config: PretrainedConfig, batch: TokenBatch) -> dict[str, Tensor]:
    """Return what an encoder takes of a batch."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    # DistilBERT has no token types, and RoBERTa's table has one row.
    if batch.token_type_ids is not None and getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids
    return inputs


def last_states(encoder: Any, batch: TokenBatch) -> Tensor:
    """Return the last layer's states, shape `[B, L, H]`."""
    return cast(Tensor, encoder(**encoder_inputs(encoder.config, batch)).last_hidden_state)


def first_states(encoder: Any, batch: TokenBatch) -> Tensor:
    """Return the last layer's states of the first tokens, shape `[B, H]`; the layer computes no others if it can."""
    with first_token_alone():
        return last_states(encoder, batch)[:, 0]

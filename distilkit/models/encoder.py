"""The encoders below the rankers: built without heads, run as a whole, and tried on short texts."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from transformers import AutoModel, PretrainedConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.models.attention import first_token_alone, use_our_attention
from distilkit.models.batch import TokenBatch
from distilkit.models.silence import silent

# Families that count positions from behind that of their padding.
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")
# Tests hold the scores of these families against transformers' own; others are tried when they are loaded.
TESTED = frozenset(
    {"albert", "bert", "camembert", "distilbert", "electra", "mobilebert", "modernbert", "roberta", "xlm-roberta"}
)
SHORT, LONG = 3, 6
# Of the largest value, with 24 bits and with fewer.
NOISE = {torch.float32: 1e-4, torch.float64: 1e-4}
COARSE_NOISE = 5e-2


def encoder_of(config: PretrainedConfig) -> PreTrainedModel:
    """Return an encoder with random weights, without the pooler, which no ranker here but BERT_CAT reads."""
    with silent():
        return bare_encoder(cast(PreTrainedModel, AutoModel.from_config(config)))


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


def position_room(config: PretrainedConfig) -> int | None:
    """Return the most tokens that a model has positions for, None where nothing limits them."""
    most: int | None = getattr(config, "max_position_embeddings", None)
    return None if most is None else most - first_position(config)


def encoder_inputs(config: PretrainedConfig, batch: TokenBatch) -> dict[str, Tensor]:
    """Return what an encoder takes of a batch."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    # DistilBERT has no token types, and RoBERTa's table has one row.
    if batch.token_type_ids is not None and getattr(config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids
    return inputs


def last_states(encoder: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's states, shape `[B, L, H]`."""
    return cast(Tensor, encoder(**encoder_inputs(encoder.config, batch)).last_hidden_state)


def first_states(encoder: PreTrainedModel, batch: TokenBatch) -> Tensor:
    """Return the last layer's states of the first tokens, shape `[B, H]`; the layer computes no others if it can."""
    with first_token_alone():
        return last_states(encoder, batch)[:, 0]


def require_encoder(encoder: PreTrainedModel, where: object) -> None:
    """Raise UserError for an encoder whose first state does not read the whole text, or reads its padding."""
    require_reader(lambda batch: last_states(encoder, batch), encoder.config, where)


def require_reader(read: Callable[[TokenBatch], Tensor], config: PretrainedConfig, where: object) -> None:
    """Raise UserError where states `[B, L, H]` or logits `[B, C]` do not depend on whole texts, or on their padding.

    Encoders of families that the tests cover are not tried.
    """
    if config.model_type in TESTED:
        return
    refused = f"{where} is a {config.model_type}, which cannot be made a ranker"
    short, long = (torch.arange(5, 5 + length) % config.vocab_size for length in (SHORT, LONG))
    other = torch.cat([short[:-1], long[-1:]])
    try:
        with torch.no_grad():
            alone, changed = (read(_batch([ids], config)) for ids in (short, other))
            padded = read(_batch([short, long], config))
    except Exception as error:  # the code of any architecture there is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{refused}: it does not read tokens with a mask ({reason})") from error
    found = padded[:1, :SHORT] if padded.dim() == 3 else padded[:1]
    noise = NOISE.get(alone.dtype, COARSE_NOISE) * float(alone.abs().max())
    if float((found - alone).abs().max()) > noise:
        raise UserError(f"{refused}: the padding of a batch changes what it makes of a text")
    first = (one[:, 0] if one.dim() == 3 else one for one in (alone, changed))
    if torch.equal(*first):
        raise UserError(f"{refused}: its first state does not see the words after it; an encoder is needed")


def _batch(texts: list[Tensor], config: PretrainedConfig) -> TokenBatch:
    lengths = torch.tensor([len(text) for text in texts])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long()
    ids = torch.full(mask.shape, getattr(config, "pad_token_id", None) or 0)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = text
    return TokenBatch(ids, mask, torch.zeros_like(ids))

"""A cross-encoder's forward pass over sequences without padding."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig

from distilkit.models.cat import BertCat, Head
from distilkit.packed.attention import packed_attention
from distilkit.packed.batch import Packed
from distilkit.packed.transfer import QueryKey

ATTENTION = "distilkit_packed"


@dataclass(frozen=True)
class PackedInternals:
    """What a forward pass leaves: the logits `[B, C]`, and the queries and keys and the states that were asked for.

    A state is `[1, T, H]`: the tokens of all sequences as one row.
    """

    logits: Tensor
    attentions: tuple[QueryKey, ...] = ()
    states: tuple[Tensor, ...] = ()


def can_pack(ranker: Any) -> bool:
    """Return whether a ranker has a packed forward pass: a cross-encoder on BERT or DistilBERT."""
    return isinstance(ranker, BertCat) and ranker.config.model_type in HEADS


def packed_internals(
    ranker: BertCat,
    batch: Packed,
    attention_layers: Sequence[int] = (),
    states: Sequence[int] = (),
    head: Head = "plain",
) -> PackedInternals:
    """Return what `BertCat.forward_internals` returns, computed on tokens alone, with scores in the form of queries
    and keys.

    The tokens go through the encoder as one row, on which everything but attention works token by token.
    """
    inputs = {"input_ids": batch.input_ids[None], "position_ids": batch.positions[None]}
    if batch.token_type_ids is not None and getattr(ranker.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids[None]
    with _attending(ranker.config, _Pass(batch.offsets, batch.longest, tuple(attention_layers))) as passed:
        # BERT's pooler, which is part of the encoder, pools the row's first token; the head pools those of sequences.
        outputs = ranker.encoder(**inputs, output_hidden_states=bool(states))
    first = outputs.last_hidden_state[0, batch.offsets[:-1]]
    return PackedInternals(
        HEADS[ranker.config.model_type](ranker.model, first, head),
        tuple(passed.seen[layer] for layer in attention_layers),
        tuple(outputs.hidden_states[state] for state in states),
    )


def _bert_head(model: Any, first: Tensor, head: Head) -> Tensor:
    pooled = model.bert.pooler(first[:, None])
    return cast(Tensor, model.classifier(torch.relu(pooled) if head == "relu" else model.dropout(pooled)))


def _distilbert_head(model: Any, first: Tensor, head: Head) -> Tensor:
    return cast(Tensor, model.classifier(model.dropout(torch.relu(model.pre_classifier(first)))))


HEADS: dict[str, Callable[[Any, Tensor, Head], Tensor]] = {"bert": _bert_head, "distilbert": _distilbert_head}


@dataclass
class _Pass:
    """One forward pass: where the sequences lie, which layers' queries and keys are wanted, and those seen."""

    offsets: Tensor
    longest: int
    wanted: tuple[int, ...]
    seen: dict[int, QueryKey] = field(default_factory=dict)
    calls: int = 0


_active: ContextVar[_Pass] = ContextVar("distilkit_packed_pass")


@contextmanager
def _attending(config: PretrainedConfig, one: _Pass) -> Iterator[_Pass]:
    """Let a model attend within sequences for one forward pass, then as before."""
    token, before = _active.set(one), config._attn_implementation
    config._attn_implementation = ATTENTION
    try:
        yield one
    finally:
        config._attn_implementation = before
        _active.reset(token)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls for it, `[1, heads, T, d]` each, within the sequences of the pass."""
    one = _active.get()
    # [1, heads, T, d] is a view of [1, T, heads, d], in which the projections wrote.
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    if one.calls in one.wanted:
        one.seen[one.calls] = QueryKey(q, k, scaling)
    one.calls += 1
    output = packed_attention(q, k, v, one.offsets, one.longest, scaling, dropout)
    return output[None], None


def _no_mask(*args: Any, **kwargs: Any) -> None:
    """There is no padding to mask."""


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _no_mask)

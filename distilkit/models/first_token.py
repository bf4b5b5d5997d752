"""The last layer for the first token alone, where a ranker reads nothing else of it: the CLS state of BERT_CAT and DOT.

Keys and values are still made of every token; queries, the output map and the feed-forward net of one token are left.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from distilkit.models.internals import ATTENTION, attention

_alone: ContextVar[bool] = ContextVar("distilkit_first_token_alone", default=False)
_whole: ContextVar[bool] = ContextVar("distilkit_whole_layers", default=False)

# What a family's layers do for the first token; a family that is not here runs its last layer as a whole.
Forward = Callable[[Any, Tensor, Tensor | None], Tensor]


@contextmanager
def first_token_alone() -> Iterator[None]:
    """Let last layers return `[B, 1, H]`, the first token's states, in the forward passes made inside the block."""
    token = _alone.set(not _whole.get())
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def whole_layers() -> Iterator[None]:
    """Let every layer compute every token inside the block, as the papers' counts of operations assume."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def able_to_read_first_token(model: PreTrainedModel) -> None:
    """Make the last layer of an encoder follow `first_token_alone`, if it is of a family below and on our attention."""
    ours = model.config._attn_implementation == ATTENTION
    forward = FAMILIES.get(model.config.model_type) if ours else None
    encoder = getattr(model.base_model, "encoder", None) or getattr(model.base_model, "transformer", None)
    layers = getattr(encoder, "layer", None)
    if forward is not None and isinstance(layers, nn.ModuleList) and len(layers) > 0:
        last = layers[-1]
        # Its class is replaced, not its forward: a copy of the model must call the copy's weights.
        if not isinstance(last, _FirstToken):
            kind: Any = type(last)
            last.__class__ = _following(kind, forward)


class _FirstToken:
    """Mixed into the class of a last layer."""


@cache
def _following(kind: Any, first_token: Forward) -> type[nn.Module]:
    def forward(
        self: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **named: Any
    ) -> Any:
        if _alone.get():
            return first_token(self, hidden_states, attention_mask)
        return kind.forward(self, hidden_states, attention_mask, *args, **named)

    return cast(type[nn.Module], type(f"FirstToken{kind.__name__}", (_FirstToken, kind), {"forward": forward}))


def _bert(layer: Any, states: Tensor, mask: Tensor | None) -> Tensor:
    own, first = layer.attention.self, states[:, :1]
    seen = _attend(own, first, states, mask, (own.query, own.key, own.value), own.dropout.p)
    return cast(Tensor, layer.feed_forward_chunk(layer.attention.output(seen, first)))


def _distilbert(layer: Any, states: Tensor, mask: Tensor | None) -> Tensor:
    own, first = layer.attention, states[:, :1]
    seen = own.out_lin(_attend(own, first, states, mask, (own.q_lin, own.k_lin, own.v_lin), own.dropout.p))
    seen = layer.sa_layer_norm(seen + first)
    return cast(Tensor, layer.output_layer_norm(layer.ffn(seen) + seen))


def _attend(
    own: Any, first: Tensor, states: Tensor, mask: Tensor | None, maps: tuple[nn.Module, ...], dropout: float
) -> Tensor:
    """Return what the first token sees of all, `[B, 1, H]`."""
    query, key, value = (
        linear(read).unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)
        for linear, read in zip(maps, (first, states, states), strict=True)
    )
    seen, _ = attention(own, query, key, value, mask, dropout, own.scaling)
    return seen.flatten(2)


FAMILIES: dict[str, Forward] = {
    "bert": _bert,
    "electra": _bert,
    "roberta": _bert,
    "xlm-roberta": _bert,
    "camembert": _bert,
    "distilbert": _distilbert,
}

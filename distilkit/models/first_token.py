"""The last layer for the first token alone, where a ranker reads nothing else of it: the CLS state of BERT_CAT and DOT.

Keys and values are still made of every token; queries, the output map and the feed-forward net of one token are left.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from distilkit.models.internals import ATTENTION, attention
from distilkit.models.layers import FAMILIES, Family, encoder_layers

_alone: ContextVar[bool] = ContextVar("distilkit_first_token_alone", default=False)
_whole: ContextVar[bool] = ContextVar("distilkit_whole_layers", default=False)


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


def computes_whole_layers() -> bool:
    """Return whether `whole_layers` is in force."""
    return _whole.get()


def able_to_read_first_token(model: PreTrainedModel) -> None:
    """Make the last layer of an encoder follow `first_token_alone`, if it is of a known family and on our attention."""
    ours = model.config._attn_implementation == ATTENTION
    family = FAMILIES.get(model.config.model_type) if ours else None
    layers = encoder_layers(model.base_model)
    # Its class is replaced, not its forward: a copy of the model must call the copy's weights.
    if family is not None and layers and not isinstance(layers[-1], _FirstToken):
        kind: Any = type(layers[-1])
        layers[-1].__class__ = _following(kind, family)


class _FirstToken:
    """Mixed into the class of a last layer."""


@cache
def _following(kind: Any, family: Family) -> type[nn.Module]:
    def forward(
        self: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **named: Any
    ) -> Any:
        if not _alone.get():
            return kind.forward(self, hidden_states, attention_mask, *args, **named)

        def attend(own: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            heads = query.shape[-1] // own.attention_head_size
            q, k, v = (one.view(*one.shape[:2], heads, -1).transpose(1, 2) for one in (query, key, value))
            seen, _ = attention(own, q, k, v, attention_mask, own.dropout.p, own.scaling)
            return seen.flatten(2)

        return family.forward(self, hidden_states[:, :1], hidden_states, attend)

    return cast(type[nn.Module], type(f"FirstToken{kind.__name__}", (_FirstToken, kind), {"forward": forward}))

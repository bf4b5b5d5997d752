"""The attention function that every encoder here runs on: raw scores that can be read, last layers that can be cut.

transformers returns attention after softmax and dropout, if at all; TinyBERT's target is the raw scores. So the models
run on an attention function of ours, which keeps the scores of the layers that a capture asks for.

Where a ranker reads nothing but the first token's state of the last layer (BERT_CAT, BERT_DOT, PreTTR), that layer
computes keys and values of all tokens, but queries, output projection and feed-forward network of the first alone.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import bidirectional_mask_function, sdpa_mask

from distilkit.errors import UserError
from distilkit.models.layers import FAMILIES, Family, encoder_layers
from distilkit.models.silence import silent

ATTENTION = "distilkit"

# What models hand on that is in the mask already, or asks for outputs that are taken otherwise.
WITHOUT_EFFECT = {
    *("sliding_window", "is_causal", "position_ids", "cache_position", "deterministic", "training"),
    *("output_attentions", "output_hidden_states", "return_dict", "use_cache", "past_key_values", "past_key_value"),
    *("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "num_items_in_batch"),
}

# On a CPU the backward pass of torch's fused attention is the slower one below this length in float32 (measured).
SHORT_FLOAT32 = 200


Vectors = tuple[Tensor, Tensor, Tensor]
"""The queries, keys and values of a layer, each `[B, heads, L, d]`."""


class ScoreCapture:
    """The raw attention scores of one forward pass, and queries, keys and values of layers of `vectors_of`.

    Layers are counted as they call the attention function.
    """

    def __init__(self, layers: Iterable[int], vectors_of: Iterable[int] = ()) -> None:
        self.layers, self.vectors_of = tuple(layers), tuple(vectors_of)
        self.scores: dict[int, Tensor] = {}
        self.vectors: dict[int, Vectors] = {}
        self._calls = 0

    def wants_next(self, vectors: Vectors) -> int | None:
        """Count one layer's call, keep its vectors if wanted, and return the layer's index if its scores are."""
        layer, self._calls = self._calls, self._calls + 1
        if layer in self.vectors_of:
            self.vectors[layer] = vectors
        return layer if layer in self.layers else None

    def ordered(self) -> tuple[Tensor, ...]:
        """Return the scores in the order in which the layers were asked for."""
        self._require("attention scores", self.layers, self.scores)
        return tuple(self.scores[layer] for layer in self.layers)

    def ordered_vectors(self) -> tuple[Vectors, ...]:
        """Return queries, keys and values in the order in which the layers were asked for."""
        self._require("queries, keys and values", self.vectors_of, self.vectors)
        return tuple(self.vectors[layer] for layer in self.vectors_of)

    def _require(self, what: str, wanted: tuple[int, ...], found: dict[int, Any]) -> None:
        missing = [layer for layer in wanted if layer not in found]
        if missing:
            seen = f"it showed {self._calls} attention layers" if self._calls else "its attention cannot be captured"
            raise UserError(f"the {what} of layer {missing[0]} of this model cannot be read: {seen}")


_active: ContextVar[ScoreCapture | None] = ContextVar("distilkit_score_capture", default=None)


@contextmanager
def capture_scores(layers: Iterable[int], vectors_of: Iterable[int] = ()) -> Iterator[ScoreCapture]:
    """Keep the raw scores QK^T/sqrt(d) of some layers (from 0) of the one forward pass made inside the block.

    Of layers of `vectors_of` queries, keys and values are kept.

    Layers are counted as they run, so a model that uses one layer many times (ALBERT) has as many as it has calls.
    """
    capture = ScoreCapture(layers, vectors_of)
    token = _active.set(capture)
    try:
        yield capture
    finally:
        _active.reset(token)


def use_our_attention(model: PreTrainedModel) -> None:
    """Make a model run on our attention; one that brings its own stays as it is, and its scores cannot be captured."""
    with silent():
        model.set_attn_implementation(ATTENTION)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls for it: `[B, heads, L, d]` each, the mask true (or 0.0) where keys are seen.

    Several heads of queries may share one of keys and values (Qwen, Llama). Scores may be capped, c tanh(s / c)
    (Gemma 2), have a bias by position (T5), and a sink that takes a share of the softmax (`s_aux`, a number a head).
    Windows are part of the mask. Raises UserError for an argument that is not computed here.
    """
    require_computed(module, others)
    scaling = query.size(-1) ** -0.5 if scaling is None else scaling
    if (groups := query.size(1) // key.size(1)) > 1:
        key, value = (one.repeat_interleave(groups, dim=1) for one in (key, value))
    if position_bias is not None:
        own = 0.0 if attention_mask is None else _additive(attention_mask, query.dtype)
        attention_mask = position_bias.to(query.dtype) + own
    dropout = dropout if module.training else 0.0
    capture = _active.get()
    layer = capture.wants_next((query, key, value)) if capture is not None else None
    plain = softcap is None and s_aux is None
    if layer is None and plain and not _explicit_is_faster(query):
        output = F.scaled_dot_product_attention(query, key, value, attention_mask, dropout, scale=scaling)
        return output.transpose(1, 2).contiguous(), None
    scores = _scores(query, key, scaling)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if capture is not None and layer is not None:
        capture.scores[layer] = scores
    probabilities = F.dropout(_softmax(scores, attention_mask, s_aux, keep=layer is not None), dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), None


def _scores(query: Tensor, key: Tensor, scaling: float) -> Tensor:
    """Return `scaling * query @ key^T`, `[B, heads, L, L']`, with as few passes over queries and keys as can be.

    A product of four dimensions would lay the transposed keys out anew, number by number, and scale in a pass apart.
    """
    shape = query.shape[:-1] + key.shape[-2:-1]
    q, k = (one.reshape(-1, *one.shape[2:]) for one in (query, key))
    return torch.baddbmm(q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=scaling).view(shape)


def require_computed(module: nn.Module, arguments: dict[str, Any]) -> None:
    """Raise UserError for what a model hands its attention function and no code here computes."""
    for name, value in arguments.items():
        if value is not None and name not in WITHOUT_EFFECT:
            raise UserError(f"{type(module).__name__} hands {name} to its attention, which is not computed here")


def _softmax(scores: Tensor, mask: Tensor | None, sinks: Tensor | None, keep: bool) -> Tensor:
    if mask is not None:
        # In the scores' own dtype: a wider mask would widen all the scores under autocast.
        bias = _additive(mask, scores.dtype)
        scores = scores + bias if keep else scores.add_(bias)
    with torch.autocast(scores.device.type, enabled=False):
        if sinks is None:
            return F.softmax(scores, dim=-1)
        beside = sinks.to(scores.dtype).view(1, -1, 1, 1).expand(len(scores), -1, scores.size(2), 1)
        return F.softmax(torch.cat([scores, beside], dim=-1), dim=-1)[..., :-1]


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def _explicit_is_faster(query: Tensor) -> bool:
    trained = query.requires_grad and torch.is_grad_enabled()
    if query.device.type != "cpu" or not trained:
        return False
    return query.dtype in (torch.bfloat16, torch.float16) or query.size(2) < SHORT_FLOAT32


def _attention_mask(*args: Any, **kwargs: Any) -> Tensor | None:
    """Return transformers' boolean mask, with one row for all queries where padding alone is masked."""
    kwargs["allow_is_causal_skip"] = False
    padding_alone = kwargs.get("mask_function") is bidirectional_mask_function
    padding = kwargs.get("attention_mask")
    if padding_alone and padding is not None and (_is_traced() or padding.is_meta):
        # What is exported reads batches with padding and without; what has no content is counted.
        return cast(Tensor, padding)[:, None, None].bool()
    if padding_alone and padding is not None and padding.device.type == "cpu" and padding.all():
        return None  # a GPU would have to be waited for
    mask: Tensor | None = sdpa_mask(*args, **kwargs)
    return mask[:, :, :1] if mask is not None and padding_alone else mask


def _is_traced() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


AttentionInterface.register(ATTENTION, attention)
# Without a mask function under the same name transformers hands the attention no mask, and padding is attended to.
AttentionMaskInterface.register(ATTENTION, _attention_mask)


_alone: ContextVar[bool] = ContextVar("distilkit_first_token_alone", default=False)
_whole: ContextVar[bool] = ContextVar("distilkit_whole_layers", default=False)


@contextmanager
def first_token_alone() -> Iterator[None]:
    """Compute the last layer for the first token alone, `[B, 1, H]`, in the forward passes made inside the block."""
    token = _alone.set(not _whole.get())
    try:
        yield
    finally:
        _alone.reset(token)


@contextmanager
def whole_layers() -> Iterator[None]:
    """Compute every layer for every token inside the block, as the papers' counts of operations assume."""
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def computes_whole_layers() -> bool:
    """Return whether `whole_layers` is in force."""
    return _whole.get()


def able_to_read_first_token(model: PreTrainedModel) -> None:
    """Make an encoder's last layer obey `first_token_alone`, if it is of a known family and runs on our attention."""
    ours = model.config._attn_implementation == ATTENTION
    family = FAMILIES.get(model.config.model_type) if ours else None
    layers = encoder_layers(model.base_model)
    # Its class is replaced, not its forward: a copy of the model must call the copy's weights.
    if family is not None and layers and not isinstance(layers[-1], _FirstToken):
        kind: Any = type(layers[-1])
        layers[-1].__class__ = _following(kind, family)


class _FirstToken:
    """Marks the class of a last layer that obeys `first_token_alone`."""


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

"""A cross-encoder's forward pass over sequences without padding, its layers compiled where that is asked for.

Output projection, feed-forward network, two residuals and two LayerNorms read and write all tokens again and again;
compiled, what lies between two matrix products is one pass. One function serves any number of tokens and all layers of
a shape, and is compiled when it is first called; unmeasured on a GPU so far.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distilkit.models.attention import computes_whole_layers
from distilkit.models.cat import BertCat, Head
from distilkit.models.layers import FAMILIES, Attend, Family, TokenWise, encoder_layers, token_wise
from distilkit.models.ranker import Ranker
from distilkit.packed.attention import packed_attention
from distilkit.packed.batch import Packed
from distilkit.packed.check import agree
from distilkit.packed.transfer import QueryKey

# More than a tile of any kernel, and no multiple of one.
TOKENS = 130


@dataclass(frozen=True)
class PackedInternals:
    """The outputs of a packed forward pass: logits `[B, C]`, and the queries, keys and hidden states asked for.

    A state is `[1, T, H]`: the tokens of all sequences as one row.
    """

    logits: Tensor
    attentions: tuple[QueryKey, ...] = ()
    states: tuple[Tensor, ...] = ()


def can_pack(ranker: Ranker) -> TypeGuard[BertCat]:
    """Return whether a ranker has a packed forward pass: a cross-encoder on BERT or DistilBERT."""
    return isinstance(ranker, BertCat) and ranker.backend == "torch" and ranker.config.model_type in HEADS


def compiles(*rankers: BertCat | None) -> bool:
    """Return whether the layers of rankers that are trained without padding may be compiled on their device.

    What was compiled before is forgotten: a process that trains many students would reach torch's limit of compilations
    of one function, and go on uncompiled.
    """
    torch.compiler.reset()
    given = [ranker for ranker in rankers if ranker is not None]
    return all(compiled_agrees(FAMILIES[one.config.model_type], encoder_layers(one.encoder)[0]) for one in given)


def packed_internals(
    ranker: BertCat,
    batch: Packed,
    attention_layers: Sequence[int] = (),
    states: Sequence[int] = (),
    head: Head = "plain",
    compile: bool = False,
) -> PackedInternals:
    """Return what `BertCat.forward_internals` returns, computed on tokens alone, with scores in the form of queries
    and keys.

    Where neither are asked for, the last layer computes first tokens alone. With `compile`, what lies between two calls
    of attention is one compiled function; :func:`compiles` tells where that may be.
    """
    family = FAMILIES[ranker.config.model_type]
    after = compiled_token_wise() if compile else token_wise
    alone = not attention_layers and not states and not computes_whole_layers()
    current = _embeddings(ranker, batch)
    # Those that are asked for alone: of all layers they would be the most that scoring holds.
    kept = {0: current} if 0 in states else {}
    seen: dict[int, QueryKey] = {}
    layers = encoder_layers(ranker.encoder)
    for number, layer in enumerate(layers):
        cls_only = alone and number == len(layers) - 1
        attend = _attend(batch, cls_only, partial(seen.__setitem__, number) if number in attention_layers else None)
        current = family.forward(layer, current[batch.cls_offsets] if cls_only else current, current, attend, after)
        if number + 1 in states:
            kept[number + 1] = current
    first_states = current if alone else current[batch.cls_offsets]
    return PackedInternals(
        HEADS[ranker.config.model_type](ranker.model, first_states, head),
        tuple(seen[layer] for layer in attention_layers),
        tuple(kept[state][None] for state in states),
    )


def packed_scores(ranker: BertCat, batch: Packed) -> Tensor:
    """Return what `BertCat.score` returns: a raw score per pair, shape `[B]`."""
    return ranker.scores_of(packed_internals(ranker, batch).logits)


def _attend(batch: Packed, cls_only: bool, keep: Callable[[QueryKey], None] | None) -> Attend:
    """Return the attention function of one layer over a packed batch; `keep` is handed its queries and keys."""

    def attend(own: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        q, k, v = (one.view(len(one), -1, own.attention_head_size) for one in (query, key, value))
        if keep is not None:
            keep(QueryKey(q, k, own.scaling))
        dropout = own.dropout.p if own.training else 0.0
        return packed_attention(q, k, v, batch.offsets, batch.longest, own.scaling, dropout, cls_only).flatten(1)

    return attend


def _embeddings(ranker: BertCat, batch: Packed) -> Tensor:
    """Return the embeddings' output, `[T, H]`."""
    inputs = {"input_ids": batch.input_ids[None], "position_ids": batch.positions[None]}
    if batch.token_type_ids is not None and getattr(ranker.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = batch.token_type_ids[None]
    # A copy: a compiled layer takes a view for something else than the output of the layer before.
    states: Tensor = ranker.encoder.embeddings(**inputs)
    return states[0].clone()


def _bert_head(model: PreTrainedModel, first: Tensor, head: Head) -> Tensor:
    pooled = model.bert.pooler(first[:, None])
    logits: Tensor = model.classifier(torch.relu(pooled) if head == "relu" else model.dropout(pooled))
    return logits


def _distilbert_head(model: PreTrainedModel, first: Tensor, head: Head) -> Tensor:
    logits: Tensor = model.classifier(model.dropout(torch.relu(model.pre_classifier(first))))
    return logits


HEADS: dict[str, Callable[[PreTrainedModel, Tensor, Head], Tensor]] = {
    "bert": _bert_head,
    "distilbert": _distilbert_head,
}


@cache
def compiled_token_wise() -> TokenWise:
    """Return :func:`distilkit.models.layers.token_wise` compiled for any number of tokens."""
    return torch.compile(token_wise, dynamic=True)


def compiled_agrees(family: Family, layer: nn.Module) -> bool:
    """Return whether a layer compiles on its device and computes what it does uncompiled; log one line where not."""
    own, wide = (copy.deepcopy(layer).eval().requires_grad_(False) for _ in range(2))
    wide.double()

    def fast(seen: Tensor, asking: Tensor) -> Tensor:
        return compiled_token_wise()(seen, asking, *family.arguments(own))

    def plain(seen: Tensor, asking: Tensor) -> Tensor:
        return token_wise(seen, asking, *family.arguments(wide))

    weight = family.net(own).output.weight
    generator = torch.Generator(weight.device).manual_seed(0)
    inputs = [torch.randn(TOKENS, len(weight), generator=generator, device=weight.device) for _ in range(2)]
    return agree("the compiled layer", fast, plain, [one.to(weight.dtype) for one in inputs])

"""Attention within each of the sequences that lie one after another."""

from functools import cache
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.packed.check import LENGTHS, agree, random_offsets, random_vectors

HALF = (torch.bfloat16, torch.float16)


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    offsets: Tensor,
    longest: int,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    r"""Return attention of each sequence to itself, shape `[T, heads, d]`.

    .. math:: O_b = \operatorname{softmax}(Q_b K_b^T \cdot \text{scale}) V_b

    On CUDA by torch's variable-length flash attention where that agrees with :func:`by_sequence`; it has neither
    dropout nor float32, for which :func:`padded` is there. Unmeasured on a GPU so far.

    Args:
        query: the queries of all sequences, one after another, shape ``[T, heads, d]``; keys and values likewise
        key: the keys
        value: the values
        offsets: where each sequence starts, and the end, int32 ``[B + 1]``
        longest: the length of the longest sequence, or more
        scale: what scores are multiplied by, by default one over the square root of d
        dropout: the share of attention weights that are set to zero
    """
    form = by_sequence
    if query.device.type == "cuda":
        flash = query.dtype in HALF and not dropout and _variable_length_agrees(query.device, query.dtype)
        form = variable_length if flash else padded
    return form(query, key, value, offsets, longest, query.shape[-1] ** -0.5 if scale is None else scale, dropout)


def by_sequence(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, scale: float, dropout: float = 0.0
) -> Tensor:
    """The plain form: one call of torch's attention a sequence."""
    outputs = []
    for start, end in pairwise(offsets.tolist()):
        q, k, v = (one[start:end].transpose(0, 1)[None] for one in (query, key, value))
        outputs.append(F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale))
    return torch.cat(outputs, dim=2)[0].transpose(0, 1)


def padded(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, scale: float, dropout: float = 0.0
) -> Tensor:
    """The form that pads for the length of one call, which is quick on CUDA in any precision and with dropout."""
    device, lengths = query.device, offsets.diff().long()
    sequence = torch.arange(len(lengths), device=device).repeat_interleave(lengths, output_size=len(query))
    places = sequence * longest + torch.arange(len(query), device=device) - offsets[sequence]
    q, k, v = (
        one.new_zeros(len(lengths) * longest, *one.shape[1:])
        .index_copy(0, places, one)
        .view(len(lengths), longest, *one.shape[1:])
        .transpose(1, 2)
        for one in (query, key, value)
    )
    mask = (torch.arange(longest, device=device) < lengths[:, None])[:, None, None]
    output = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale)
    return output.transpose(1, 2).flatten(0, 1)[places]


def variable_length(
    query: Tensor, key: Tensor, value: Tensor, offsets: Tensor, longest: int, scale: float, dropout: float = 0.0
) -> Tensor:
    """The form by torch's flash attention (torch 2.10 and later, CUDA, half precision, no dropout)."""
    from torch.nn.attention.varlen import varlen_attn

    return cast(Tensor, varlen_attn(query, key, value, offsets, offsets, longest, longest, scale=scale))


@cache
def _variable_length_agrees(device: torch.device, dtype: torch.dtype) -> bool:
    offsets, longest, scale = random_offsets(device), max(LENGTHS), 0.2

    def fast(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return variable_length(query, key, value, offsets, longest, scale)

    def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return by_sequence(query, key, value, offsets, longest, scale)

    return agree("torch's variable-length attention", fast, plain, random_vectors(3, 2, 32, device, dtype))

"""Self-attention over packed sequences: each sequence of a flat array of tokens attends to itself alone."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.packed.check import LENGTHS, agree, random_offsets, random_vectors

HALF = (torch.bfloat16, torch.float16)


class VarlenArgs(NamedTuple):
    """The arguments of variable-length attention beside queries, keys and values: see :func:`packed_attention`."""

    offsets: Tensor
    longest: int
    scale: float
    dropout: float = 0.0
    cls_only: bool = False


def packed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    offsets: Tensor,
    longest: int,
    scale: float | None = None,
    dropout: float = 0.0,
    cls_only: bool = False,
) -> Tensor:
    r"""Return attention of each sequence to itself, shape `[T, heads, d]`, or of its first token, `[B, heads, d]`.

    .. math:: O_b = \operatorname{softmax}(Q_b K_b^T \cdot \text{scale}) V_b

    On CUDA by torch's variable-length flash attention where that agrees with :func:`by_sequence`; it has neither
    dropout nor float32, for which :func:`padded` is there. Unmeasured on a GPU so far.

    Args:
        query: the queries of all sequences, one after another, shape ``[T, heads, d]``
        key: the keys, likewise
        value: the values, likewise
        offsets: where each sequence starts, and the end, int32 ``[B + 1]``
        longest: the length of the longest sequence, or more
        scale: what scores are multiplied by, by default one over the square root of d
        dropout: the share of attention weights that are set to zero
        cls_only: queries are those of each sequence's first token alone, shape ``[B, heads, d]``
    """
    form = by_sequence
    if query.device.type == "cuda":
        flash = query.dtype in HALF and not dropout and _variable_length_agrees(query.device, query.dtype)
        form = variable_length if flash else padded
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return form(query, key, value, VarlenArgs(offsets, longest, scale, dropout, cls_only))


def by_sequence(query: Tensor, key: Tensor, value: Tensor, args: VarlenArgs) -> Tensor:
    """The reference: one call of torch's attention for each sequence."""
    outputs = []
    for number, (start, end) in enumerate(pairwise(args.offsets.tolist())):
        asking = query[number : number + 1] if args.cls_only else query[start:end]
        q, k, v = (one.transpose(0, 1)[None] for one in (asking, key[start:end], value[start:end]))
        outputs.append(F.scaled_dot_product_attention(q, k, v, dropout_p=args.dropout, scale=args.scale))
    return torch.cat(outputs, dim=2)[0].transpose(0, 1)


def padded(query: Tensor, key: Tensor, value: Tensor, args: VarlenArgs) -> Tensor:
    """Attention over sequences padded for this one call, which is quick on CUDA in any precision and with dropout."""
    device, offsets, longest = key.device, args.offsets, args.longest
    lengths = offsets.diff().long()
    sequence = torch.arange(len(lengths), device=device).repeat_interleave(lengths, output_size=len(key))
    places = sequence * longest + torch.arange(len(key), device=device) - offsets[sequence]

    def pad(rows: Tensor) -> Tensor:
        whole = rows.new_zeros(len(lengths) * longest, *rows.shape[1:]).index_copy(0, places, rows)
        return whole.view(len(lengths), longest, *rows.shape[1:]).transpose(1, 2)

    mask = (torch.arange(longest, device=device) < lengths[:, None])[:, None, None]
    asking = query[:, :, None] if args.cls_only else pad(query)
    output = F.scaled_dot_product_attention(asking, pad(key), pad(value), mask, args.dropout, scale=args.scale)
    return output[:, :, 0] if args.cls_only else output.transpose(1, 2).flatten(0, 1)[places]


def variable_length(query: Tensor, key: Tensor, value: Tensor, args: VarlenArgs) -> Tensor:
    """Torch's variable-length flash attention (torch 2.10 and later, CUDA, half precision, no dropout)."""
    from torch.nn.attention.varlen import varlen_attn

    offsets, longest, own, most = args.offsets, args.longest, args.offsets, args.longest
    if args.cls_only:
        own, most = torch.arange(len(offsets), device=offsets.device, dtype=torch.int32), 1
    output = varlen_attn(query, key, value, own, offsets, most, longest, scale=args.scale)
    assert isinstance(output, Tensor)  # nothing else is asked for
    return output


@cache
def _variable_length_agrees(device: torch.device, dtype: torch.dtype) -> bool:
    args = VarlenArgs(random_offsets(device), max(LENGTHS), 0.2)

    def both(form: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def value_of(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            first = form(query[args.offsets[:-1]], key, value, args._replace(cls_only=True))
            return torch.cat([form(query, key, value, args), first])

        return value_of

    inputs = random_vectors(3, 2, 32, device, dtype)
    return agree("torch's variable-length attention", both(variable_length), both(by_sequence), inputs)

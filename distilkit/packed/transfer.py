"""Attention transfer over sequences without padding, which keeps no map of L x L scores."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distilkit.losses.tensors import wide_type
from distilkit.packed.check import LENGTHS, agree, random_offsets, random_vectors

# Queries of one sequence whose scores are held at a time.
ROWS = 128
KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class QueryKey(NamedTuple):
    """The factors of one layer's attention scores: queries and keys `[T, heads, d]`, and the scale.

    Before the softmax the score of query i and key j of a sequence is `scale * query[i] · key[j]`.
    """

    query: Tensor
    key: Tensor
    scale: float


def packed_attention_mse(
    student: Sequence[QueryKey],
    teacher: Sequence[QueryKey],
    offsets: Tensor,
    longest: int,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Attention transfer: :func:`distilkit.losses.attention_mse` (the paper's mean) of scores that are never kept.

    .. math:: L_{attn} = \sum_{m} \frac{1}{h \sum_b l_b^2} \sum_{b,h,i,j}
        \left(s^s q^s_{bhi} \cdot k^s_{bhj} - s^t q^t_{bhi} \cdot k^t_{bhj}\right)^2

    Scores are multiplied tile by tile, and once more in the backward pass: on CUDA by the Triton kernel where
    :func:`self_check` allows it, else by :func:`tiled_squared_error`. Gradients go to the
    student alone. The variant `released_code` counts padding, which is not there, and has no packed form.

    Args:
        student: the queries and keys of each of the student's layers
        teacher: those of the teacher's layers that these are mapped to, with as many heads of any size
        offsets: where each sequence starts, and the end, int32 ``[B + 1]``
        longest: the length of the longest sequence, or more
        normaliser: the number of (query, key) pairs to divide by, heads not counted

    Raises:
        ValueError: for unequal numbers of layers or heads

    References:
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351

    Example:
        >>> import torch
        >>> ones = torch.ones(3, 1, 4)
        >>> student, teacher = QueryKey(ones, ones, 0.25), QueryKey(ones, ones, 0.5)
        >>> packed_attention_mse([student], [teacher], torch.tensor([0, 1, 3]), 2).item()
        1.0
    """
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} layers of the student cannot be mapped to {len(teacher)} of the teacher")
    pairs = offsets.diff().long().square().sum() if normaliser is None else normaliser
    total = torch.zeros((), dtype=torch.float32, device=offsets.device)
    for own, taught in zip(student, teacher, strict=True):
        heads = own.query.shape[1]
        if heads != taught.query.shape[1]:
            raise ValueError(
                "attention transfer needs as many heads in the student as in the teacher, "
                f"not {heads} and {taught.query.shape[1]}"
            )
        total = total + _squared_error(own, taught, offsets, longest) / (pairs * heads)
    return total


def written_out_squared_error(
    student_query: Tensor,
    student_key: Tensor,
    teacher_query: Tensor,
    teacher_key: Tensor,
    offsets: Tensor,
    student_scale: float,
    teacher_scale: float,
) -> Tensor:
    """The reference: all scores of a sequence at once, differentiated by autograd."""
    tensors = (student_query, student_key, teacher_query, teacher_key)
    wide = wide_type(*tensors)
    total = torch.zeros((), dtype=wide, device=offsets.device)
    for start, end in pairwise(offsets.tolist()):
        q, k, teacher_q, teacher_k = (one[start:end].to(wide).transpose(0, 1) for one in tensors)
        student, teacher = q @ k.transpose(1, 2) * student_scale, teacher_q @ teacher_k.transpose(1, 2) * teacher_scale
        total = total + (student - teacher.detach()).square().sum()
    return total


@cache
def self_check(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the Triton kernel may be used: once a process it is compared with the reference on random data.

    Heads are of unequal size, and gradients are compared too. Where the kernel is missing, does not compile or is off,
    that is logged in one line.
    """
    offsets, scales = random_offsets(device), (0.2, 0.1)

    def fast(q: Tensor, k: Tensor, teacher_q: Tensor, teacher_k: Tensor) -> Tensor:
        from distilkit.packed.kernel import kernel_squared_error

        return kernel_squared_error(q, k, teacher_q, teacher_k, offsets, max(LENGTHS), *scales)

    def plain(q: Tensor, k: Tensor, teacher_q: Tensor, teacher_k: Tensor) -> Tensor:
        return written_out_squared_error(q, k, teacher_q, teacher_k, offsets, *scales)

    inputs = [*random_vectors(2, 2, 32, device, dtype), *random_vectors(2, 2, 64, device, dtype)]
    return agree("the Triton kernel of attention transfer", fast, plain, inputs)


def _squared_error(own: QueryKey, taught: QueryKey, offsets: Tensor, longest: int) -> Tensor:
    tensors = (own.query, own.key, taught.query, taught.key)
    dtypes = {tensor.dtype for tensor in tensors}
    suits = offsets.device.type == "cuda" and len(dtypes) == 1 and dtypes <= {*KERNEL_DTYPES}
    if suits and self_check(offsets.device, own.query.dtype):
        from distilkit.packed.kernel import kernel_squared_error

        return kernel_squared_error(*tensors, offsets, longest, own.scale, taught.scale)
    return tiled_squared_error(*tensors, offsets, own.scale, taught.scale)


def tiled_squared_error(
    student_query: Tensor,
    student_key: Tensor,
    teacher_query: Tensor,
    teacher_key: Tensor,
    offsets: Tensor,
    student_scale: float,
    teacher_scale: float,
) -> Tensor:
    """Return the sum of squared differences of the scores, holding those of 128 queries at a time, also in backward.

    Inputs are `[T, heads, d]` (the teacher's d may be another) and `offsets` `[B + 1]`; gradients go to the student.
    """
    inputs = (student_query, student_key, teacher_query, teacher_key, offsets, student_scale, teacher_scale)
    total: Tensor = _Tiled.apply(*inputs)  # type: ignore[no-untyped-call]
    return total


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs[:5])
        ctx.scales = inputs[5:]
        wide = wide_type(*inputs[:4])
        total = torch.zeros((), dtype=wide, device=inputs[0].device)
        with torch.autocast(inputs[0].device.type, enabled=False):
            for sequence in _sequences(inputs[4]):
                for _, difference in _differences(inputs[:4], sequence, ctx.scales, wide):
                    # Row by row: one long float32 sum of squares would lose its small terms.
                    total += torch.linalg.vector_norm(difference, dim=-1).square_().sum()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, offsets = ctx.saved_tensors
        wide, factor = wide_type(*tensors), 2.0 * ctx.scales[0] * gradient
        to_query, to_key = torch.empty_like(tensors[0]), torch.empty_like(tensors[1])
        with torch.autocast(to_query.device.type, enabled=False):
            for sequence in _sequences(offsets):
                # Wide copies of one sequence at a time: of all of them they would be the most that is held.
                query, key = (one[sequence].to(wide) for one in tensors[:2])
                own_key = torch.zeros_like(key)
                for rows, difference in _differences(tensors, sequence, ctx.scales, wide):
                    to_query[sequence][rows] = (torch.einsum("hmn,nhd->mhd", difference, key) * factor).to(to_query)
                    own_key += torch.einsum("hmn,mhd->nhd", difference, query[rows])
                to_key[sequence] = (own_key * factor).to(to_key)
        return to_query, to_key, *[None] * 5


def _sequences(offsets: Tensor) -> list[slice]:
    return [slice(start, end) for start, end in pairwise(offsets.tolist())]


def _differences(
    tensors: Sequence[Tensor], sequence: slice, scales: tuple[float, float], wide: torch.dtype
) -> Iterator[tuple[slice, Tensor]]:
    """Yield a tile's queries, counted from the sequence's start, and the difference of their scores `[heads, m, n]`."""
    parts = [one[sequence].to(wide) for one in tensors]
    for first in range(0, len(parts[0]), ROWS):
        rows = slice(first, first + ROWS)
        student, teacher = (
            torch.einsum("mhd,nhd->hmn", query[rows] * scale, key)
            for query, key, scale in zip(parts[::2], parts[1::2], scales, strict=True)
        )
        yield rows, student.sub_(teacher)

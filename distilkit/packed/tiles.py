"""The squared difference of two models' attention scores, a tile at a time."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distilkit.losses.precision import wide_type

# Queries of one sequence whose scores are held at a time.
ROWS = 128


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
    return cast(Tensor, _Tiled.apply(*inputs))  # type: ignore[no-untyped-call]


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        ctx.save_for_backward(*inputs[:5])
        ctx.scales = inputs[5:]
        wide = wide_type(*inputs[:4])
        total = torch.zeros((), dtype=wide, device=inputs[0].device)
        with torch.autocast(inputs[0].device.type, enabled=False):
            for _, _, difference in _differences(inputs[:4], inputs[4], ctx.scales, wide):
                # Row by row: one long float32 sum of squares would lose its small terms.
                total += torch.linalg.vector_norm(difference, dim=-1).square_().sum()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, offsets = ctx.saved_tensors
        wide = wide_type(*tensors)
        query, key = (one.to(wide) for one in tensors[:2])
        to_query, to_key = torch.zeros_like(query), torch.zeros_like(key)
        with torch.autocast(query.device.type, enabled=False):
            for rows, sequence, difference in _differences(tensors, offsets, ctx.scales, wide):
                to_query[rows] = torch.einsum("hmn,nhd->mhd", difference, key[sequence])
                to_key[sequence] += torch.einsum("hmn,mhd->nhd", difference, query[rows])
        factor = 2.0 * ctx.scales[0] * gradient
        return (to_query * factor).to(tensors[0].dtype), (to_key * factor).to(tensors[1].dtype), *[None] * 5


def _differences(
    tensors: Any, offsets: Tensor, scales: tuple[float, float], wide: torch.dtype
) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield a tile's queries and keys, and the difference of their scores `[heads, queries, keys]`."""
    for start, end in pairwise(offsets.tolist()):
        sequence = slice(start, end)
        for first in range(start, end, ROWS):
            rows = slice(first, min(first + ROWS, end))
            student, teacher = (
                torch.einsum("mhd,nhd->hmn", query[rows].to(wide) * scale, key[sequence].to(wide))
                for query, key, scale in zip(tensors[::2], tensors[1::2], scales, strict=True)
            )
            yield rows, sequence, student.sub_(teacher)

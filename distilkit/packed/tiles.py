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
    tensors: Any, sequence: slice, scales: tuple[float, float], wide: torch.dtype
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

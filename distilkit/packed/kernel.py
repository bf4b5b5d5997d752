# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""The squared difference of two models' attention scores as a Triton kernel; unmeasured on a GPU so far.

A program takes one tile of BLOCK queries of one sequence and one head. It walks over the sequence's keys, BLOCK at a
time, multiplies the tile's student scores and teacher scores (BLOCK x BLOCK each, in registers), and adds up the square
of their difference. No score is written to memory.

The gradient needs the differences again. With D = S - T the tile's differences and g the gradient that comes in,

    gradient of q_i = 2 g scale sum_j D_ij k_j        gradient of k_j = 2 g scale sum_i D_ij q_i

which is one formula with queries and keys changing places, since D with its sides changed is D transposed. So one
kernel, called twice, computes both.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 64


@triton.jit
def _vectors(tensor, start, places, length, head, heads: tl.constexpr, size: tl.constexpr, width: tl.constexpr):
    """Return the vectors of one head at some places of a sequence, [BLOCK, width], from a tensor [T, heads, size].

    Past the sequence's end and past `size` they are zero: so are then the scores and the differences, and nothing
    else has to be masked.
    """
    entries = tl.arange(0, width)
    # In int64, for a tensor may have more than 2^31 entries.
    pointers = tensor + ((start.to(tl.int64) + places)[:, None] * heads + head) * size + entries[None, :]
    return tl.load(pointers, mask=(places < length)[:, None] & (entries < size)[None, :], other=0.0)


@triton.jit
def _difference(student_rows, student_columns, student_scale, teacher_rows, teacher_columns, teacher_scale):
    """Return a tile's student scores minus its teacher scores, [BLOCK, BLOCK], in float32 (not TF32)."""
    student = tl.dot(student_rows, tl.trans(student_columns), input_precision="ieee") * student_scale
    teacher = tl.dot(teacher_rows, tl.trans(teacher_columns), input_precision="ieee") * teacher_scale
    return student - teacher


@triton.jit
def _squared_error(
    student_query,
    student_key,
    teacher_query,
    teacher_key,
    offsets,
    sums,
    student_scale,
    teacher_scale,
    heads: tl.constexpr,
    student_size: tl.constexpr,
    student_width: tl.constexpr,
    teacher_size: tl.constexpr,
    teacher_width: tl.constexpr,
    block: tl.constexpr,
):
    """Write the sum of the squared differences of each tile of queries to `sums` [B, tiles, heads]."""
    sequence, tile, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    start = tl.load(offsets + sequence)
    length = tl.load(offsets + sequence + 1) - start
    # The grid is made for the longest sequence; a shorter one has nothing for its last tiles.
    if tile * block < length:
        rows = tile * block + tl.arange(0, block)
        s_rows = _vectors(student_query, start, rows, length, head, heads, student_size, student_width)
        t_rows = _vectors(teacher_query, start, rows, length, head, heads, teacher_size, teacher_width)
        total = tl.zeros([block], tl.float32)
        for first in range(0, length, block):
            columns = first + tl.arange(0, block)
            s_columns = _vectors(student_key, start, columns, length, head, heads, student_size, student_width)
            t_columns = _vectors(teacher_key, start, columns, length, head, heads, teacher_size, teacher_width)
            difference = _difference(s_rows, s_columns, student_scale, t_rows, t_columns, teacher_scale)
            total += tl.sum(difference * difference, axis=1)
        tl.store(sums + (sequence * tl.num_programs(1) + tile) * heads + head, tl.sum(total, axis=0))


@triton.jit
def _row_gradient(
    student_rows,
    student_columns,
    teacher_rows,
    teacher_columns,
    offsets,
    incoming,
    gradient,
    student_scale,
    teacher_scale,
    heads: tl.constexpr,
    student_size: tl.constexpr,
    student_width: tl.constexpr,
    teacher_size: tl.constexpr,
    teacher_width: tl.constexpr,
    block: tl.constexpr,
):
    """Write the gradient of the student's rows, which are its queries (columns its keys), or the other way round."""
    sequence, tile, head = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    start = tl.load(offsets + sequence)
    length = tl.load(offsets + sequence + 1) - start
    if tile * block < length:
        rows = tile * block + tl.arange(0, block)
        s_rows = _vectors(student_rows, start, rows, length, head, heads, student_size, student_width)
        t_rows = _vectors(teacher_rows, start, rows, length, head, heads, teacher_size, teacher_width)
        total = tl.zeros([block, student_width], tl.float32)
        for first in range(0, length, block):
            columns = first + tl.arange(0, block)
            s_columns = _vectors(student_columns, start, columns, length, head, heads, student_size, student_width)
            t_columns = _vectors(teacher_columns, start, columns, length, head, heads, teacher_size, teacher_width)
            difference = _difference(s_rows, s_columns, student_scale, t_rows, t_columns, teacher_scale)
            # In the vectors' own dtype, which the matrix units multiply.
            total += tl.dot(difference.to(s_columns.dtype), s_columns, input_precision="ieee")
        total *= 2.0 * student_scale * tl.load(incoming)
        entries = tl.arange(0, student_width)
        pointers = gradient + ((start.to(tl.int64) + rows)[:, None] * heads + head) * student_size + entries[None, :]
        inside = (rows < length)[:, None] & (entries < student_size)[None, :]
        tl.store(pointers, total.to(gradient.dtype.element_ty), mask=inside)


def kernel_squared_error(
    student_query: Tensor,
    student_key: Tensor,
    teacher_query: Tensor,
    teacher_key: Tensor,
    offsets: Tensor,
    longest: int,
    student_scale: float,
    teacher_scale: float,
) -> Tensor:
    """Return the sum of squared differences of the scores; see `transfer.tiled_squared_error`, which this equals.

    Inputs are `[T, heads, d]` in float32, bfloat16 or float16, and are multiplied in that and added up in float32.
    """
    tensors = [one.contiguous() for one in (student_query, student_key, teacher_query, teacher_key)]
    total: Tensor = _Kernel.apply(*tensors, offsets, longest, student_scale, teacher_scale)
    return total


class _Kernel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *tensors, longest, student_scale, teacher_scale = inputs
        ctx.save_for_backward(*tensors)
        ctx.longest, ctx.scales = longest, (student_scale, teacher_scale)
        grid, sizes = _grid(tensors, longest), _sizes(tensors)
        sums = torch.zeros(grid, dtype=torch.float32, device=tensors[0].device)
        with torch.cuda.device_of(sums):
            _squared_error[grid](*tensors, sums, *ctx.scales, *sizes)
        return sums.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        student_query, student_key, teacher_query, teacher_key, offsets = tensors = ctx.saved_tensors
        grid, sizes = _grid(tensors, ctx.longest), _sizes(tensors)
        towards = torch.empty_like(student_query), torch.empty_like(student_key)
        sides = (
            (student_query, student_key, teacher_query, teacher_key),
            (student_key, student_query, teacher_key, teacher_query),
        )
        with torch.cuda.device_of(incoming):
            for side, gradient in zip(sides, towards, strict=True):
                _row_gradient[grid](*side, offsets, incoming, gradient, *ctx.scales, *sizes)
        return *towards, *[None] * 6


def _grid(tensors: Sequence[Tensor], longest: int) -> tuple[int, int, int]:
    """Return the numbers of sequences, of tiles in the longest, and of heads."""
    return len(tensors[4]) - 1, triton.cdiv(longest, BLOCK), tensors[0].shape[1]


def _sizes(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """Return the kernels' constants; a tile is as wide as a power of two, and the matrix units take 16 at least."""
    sizes = [tensors[0].shape[2], tensors[2].shape[2]]
    padded = [(size, max(16, triton.next_power_of_2(size))) for size in sizes]
    return tensors[0].shape[1], *padded[0], *padded[1], BLOCK

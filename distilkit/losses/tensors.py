"""What the losses share: number format, checks of shapes and variants, a squared error that saves memory."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Variant = Literal["paper", "released_code"]


def checked(variant: Variant) -> Variant:
    """Return the variant; raises ValueError for one that does not exist."""
    if variant not in ("paper", "released_code"):
        raise ValueError(f"variant must be 'paper' or 'released_code', not {variant!r}")
    return variant


def wide_type(*tensors: Tensor) -> torch.dtype:
    """Return the dtype a loss of these tensors is computed in: float32, or float64 where one of them is float64."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def widen(tensor: Tensor) -> Tensor:
    """Return a floating-point tensor in at least float32."""
    return tensor.to(wide_type(tensor))


def require_one_shape(student: Tensor, teacher: Tensor) -> None:
    """Raise ValueError unless the two tensors have one shape."""
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher must have one shape, not {[*student.shape]} and {[*teacher.shape]}")


def squared_error(student: Tensor, teacher: Tensor, dropped: Tensor | None = None) -> Tensor:
    r"""Return the sum of the squared differences of two tensors over the positions that are not dropped.

    .. math:: \sum_{i \notin \text{dropped}} (s_i - t_i)^2

    Plain operations would hold several float32 copies of bf16 inputs until the backward pass; this holds the
    difference alone, in the student's dtype. What the inputs hold at dropped positions, were it NaN, changes neither
    the value nor the gradient.

    Args:
        student: a tensor of any shape
        teacher: a tensor of the same shape; a float16 or bfloat16 input is computed in float32
        dropped: a boolean tensor that broadcasts to that shape, true where a position does not count
    """
    total: Tensor = _SquaredError.apply(student, teacher, dropped)  # type: ignore[no-untyped-call]
    return total


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, dropped: Tensor | None) -> Tensor:
        difference = student.to(wide_type(student, teacher), copy=True).sub_(teacher)
        if dropped is not None:
            difference.masked_fill_(dropped, 0.0)
        # The gradient needs no more digits than the student's scores have.
        ctx.save_for_backward(difference.to(student.dtype))
        ctx.teacher_dtype = teacher.dtype
        # Row by row: one long float32 sum of squares would lose its small terms.
        rows: Tensor = torch.linalg.vector_norm(difference, dim=-1)
        return rows.square_().sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (difference,) = ctx.saved_tensors
        student, teacher, _ = ctx.needs_input_grad
        towards = difference * (2.0 * gradient)
        return towards if student else None, -towards.to(ctx.teacher_dtype) if teacher else None, None

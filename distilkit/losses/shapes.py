"""What the losses ask of the shapes they are given."""

from torch import Tensor


def require_one_shape(student: Tensor, teacher: Tensor) -> None:
    """Raise ValueError unless the two tensors have one shape."""
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher must have one shape, not {[*student.shape]} and {[*teacher.shape]}")

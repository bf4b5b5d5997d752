"""The number format that losses are computed in."""

import torch
from torch import Tensor


def wide_type(*tensors: Tensor) -> torch.dtype:
    """Return the dtype a loss of these tensors is computed in: float32, or float64 where one of them is float64."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def widen(tensor: Tensor) -> Tensor:
    """Return a floating-point tensor in at least float32."""
    return tensor.to(wide_type(tensor))

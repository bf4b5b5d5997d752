"""What the losses of a model's insides are divided by."""

from typing import Literal

import torch
from torch import Tensor

Variant = Literal["paper", "released_code"]


def checked(variant: Variant) -> Variant:
    """Return the variant; raises ValueError for one that does not exist."""
    if variant not in ("paper", "released_code"):
        raise ValueError(f"variant must be 'paper' or 'released_code', not {variant!r}")
    return variant


def count_pairs(mask: Tensor, variant: Variant = "paper") -> Tensor:
    """Return the number of (query, key) pairs of a batch that :func:`attention_mse` divides by.

    Example:
        >>> import torch
        >>> count_pairs(torch.tensor([[1, 1, 0], [1, 1, 1]])).item()
        13
    """
    if checked(variant) == "released_code":
        return mask.new_tensor(mask.shape[0] * mask.shape[1] ** 2, dtype=torch.long)
    return mask.bool().sum(dim=1).square().sum()


def count_tokens(mask: Tensor, variant: Variant = "paper") -> Tensor:
    """Return the number of tokens of a batch that :func:`hidden_mse` divides by.

    Example:
        >>> import torch
        >>> count_tokens(torch.tensor([[1, 1, 0], [1, 1, 1]])).item()
        5
    """
    if checked(variant) == "released_code":
        return mask.new_tensor(mask.numel(), dtype=torch.long)
    return mask.bool().sum()

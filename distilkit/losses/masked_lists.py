"""Lists of candidates of unequal lengths, as rows padded to one length."""

import torch
from torch import Tensor

from distilkit.losses.precision import widen
from distilkit.losses.shapes import require_one_shape


def count_lists(mask: Tensor) -> Tensor:
    """Return the number of rows that hold a candidate, which the losses of lists divide by.

    Example:
        >>> import torch
        >>> count_lists(torch.tensor([[1, 1], [1, 0], [0, 0]])).item()
        2
    """
    return mask.bool().any(dim=1).sum()


def masked_lists(student_scores: Tensor, teacher_scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return both scores in at least float32, zero at padding whatever they held there, and the mask as booleans.

    Raises ValueError unless all have one shape ``[B, N]``.
    """
    require_one_shape(student_scores, teacher_scores)
    real = torch.ones_like(student_scores, dtype=torch.bool) if mask is None else mask.bool()
    if real.shape != student_scores.shape or real.dim() != 2:
        raise ValueError(
            f"scores and mask must have one shape [B, N], not {[*student_scores.shape]} and {[*real.shape]}"
        )
    return widen(student_scores).masked_fill(~real, 0.0), widen(teacher_scores).masked_fill(~real, 0.0), real


def mean_of_lists(losses: Tensor, real: Tensor, normaliser: float | Tensor | None) -> Tensor:
    """Return the sum of the rows' losses by the number of rows that hold a candidate, or by the normaliser."""
    return losses.sum() / (count_lists(real).clamp(min=1) if normaliser is None else normaliser)


def best_first(scores: Tensor, ties: Tensor, real: Tensor) -> Tensor:
    """Return the columns of each row by score descending, equal ones by `ties` descending, padding last."""
    lowest = -torch.inf
    by_ties = ties.masked_fill(~real, lowest).argsort(dim=1, descending=True, stable=True)
    by_score = scores.masked_fill(~real, lowest).gather(1, by_ties).argsort(dim=1, descending=True, stable=True)
    return by_ties.gather(1, by_score)


def shared_ranks(scores: Tensor, real: Tensor) -> Tensor:
    """Return each candidate's rank from 1 by score descending; equal scores share the mean of their ranks.

    What stands at padding means nothing.
    """
    one, other = scores[:, :, None], scores[:, None, :]
    above = (other > one) + 0.5 * (other == one).to(scores.dtype)
    # A candidate equals itself: a half too many, of the one that ranks are counted from.
    return 0.5 + above.masked_fill(~real[:, None, :], 0.0).sum(dim=2)

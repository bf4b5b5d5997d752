"""Losses of the student's class logits against the teacher's."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.precision import widen
from distilkit.losses.shapes import require_one_shape

Reduction = Literal["batchmean", "mean"]


def soft_cross_entropy(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 1.0,
    reduction: Reduction = "batchmean",
    t_squared: bool = False,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Cross-entropy of the student's softened class distribution against the teacher's.

    .. math:: L = -\frac{1}{B} \sum_b \sum_c \sigma(z^t_b / T)_c \log \sigma(z^s_b / T)_c

    where :math:`\sigma` is the softmax over classes.

    The temperature divides both logits (TinyBERT's paper prints it under the student's alone, its code divides both).

    Args:
        student_logits: logits, shape ``[B, C]``
        teacher_logits: the teacher's logits for the same classes, shape ``[B, C]``
        temperature: T
        reduction: ``batchmean`` divides by B, as the papers write it; ``mean`` by B times C, as the released code of
            TinyBERT and Simplified TinyBERT does, which for two classes halves the loss
        t_squared: multiply by T squared, so that the size of the gradient does not depend on T (Hinton et al.)
        normaliser: what takes B's place, for a batch cut into micro-batches

    References:
        - Hinton et al. 2015, Distilling the Knowledge in a Neural Network: https://arxiv.org/abs/1503.02531
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351

    Example:
        >>> import torch
        >>> student = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
        >>> teacher = torch.tensor([[2.0, -1.0], [-0.5, 1.5]])
        >>> round(soft_cross_entropy(student, teacher).item(), 6)
        0.464435
        >>> round(soft_cross_entropy(student, teacher, temperature=5.0, reduction="mean").item(), 6)
        0.33797
    """
    require_one_shape(student_logits, teacher_logits)
    if reduction not in ("batchmean", "mean"):
        raise ValueError(f"reduction must be 'batchmean' or 'mean', not {reduction!r}")
    targets = F.softmax(widen(teacher_logits) / temperature, dim=-1)
    total = -(targets * F.log_softmax(widen(student_logits) / temperature, dim=-1)).sum()
    examples, classes = student_logits.shape
    count = (examples if normaliser is None else normaliser) * (classes if reduction == "mean" else 1)
    return total / count * (temperature**2 if t_squared else 1.0)

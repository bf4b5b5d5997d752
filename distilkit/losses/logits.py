"""Losses of the student's class logits against the teacher's."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.tensors import require_one_shape, widen

Reduction = Literal["batchmean", "mean"]
Kind = Literal["ce", "kl", "logit_mse"]


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

    Examples:
        >>> import torch
        >>> student = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
        >>> teacher = torch.tensor([[2.0, -1.0], [-0.5, 1.5]])
        >>> round(soft_cross_entropy(student, teacher).item(), 6)
        0.464435
        >>> round(soft_cross_entropy(student, teacher, temperature=5.0, reduction="mean").item(), 6)
        0.33797
    """
    targets, count = _targets(student_logits, teacher_logits, temperature, reduction, normaliser)
    total = -(targets * F.log_softmax(widen(student_logits) / temperature, dim=-1)).sum()
    return total / count * (temperature**2 if t_squared else 1.0)


def soft_kl_divergence(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 1.0,
    reduction: Reduction = "batchmean",
    t_squared: bool = False,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Kullback-Leibler divergence of the student's softened class distribution from the teacher's.

    .. math:: L = \frac{1}{B} \sum_b \sum_c p_{b,c} \log \frac{p_{b,c}}{\sigma(z^s_b / T)_c}

    where :math:`p_b = \sigma(z^t_b / T)`.

    It is :func:`soft_cross_entropy` less the teacher's entropy, so that both have one gradient.

    Args:
        student_logits: logits, shape ``[B, C]``
        teacher_logits: the teacher's logits for the same classes, shape ``[B, C]``
        temperature: T
        reduction: ``batchmean`` divides by B; ``mean`` by B times C, as the code of Sun et al. does
        t_squared: multiply by T squared, as Sun et al. do
        normaliser: what takes B's place, for a batch cut into micro-batches

    References:
        - Sun et al. 2019, Patient Knowledge Distillation for BERT Model Compression: https://arxiv.org/abs/1908.09355

    Examples:
        >>> import torch
        >>> student = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
        >>> teacher = torch.tensor([[2.0, -1.0], [-0.5, 1.5]])
        >>> round(soft_kl_divergence(student, teacher).item(), 6)
        0.186335
    """
    targets, count = _targets(student_logits, teacher_logits, temperature, reduction, normaliser)
    log_targets = F.log_softmax(widen(teacher_logits) / temperature, dim=-1)
    total = (targets * (log_targets - F.log_softmax(widen(student_logits) / temperature, dim=-1))).sum()
    return total / count * (temperature**2 if t_squared else 1.0)


def logit_mse(student_logits: Tensor, teacher_logits: Tensor, normaliser: float | Tensor | None = None) -> Tensor:
    r"""Mean squared error of the student's logits against the teacher's.

    .. math:: L = \frac{1}{B C} \sum_b \sum_c (z^s_{b,c} - z^t_{b,c})^2

    Args:
        student_logits: logits, shape ``[B, C]``
        teacher_logits: the teacher's logits for the same classes, shape ``[B, C]``
        normaliser: what takes B's place, for a batch cut into micro-batches

    References:
        - Tang et al. 2019, Distilling Task-Specific Knowledge from BERT: https://arxiv.org/abs/1903.12136

    Examples:
        >>> import torch
        >>> student = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
        >>> teacher = torch.tensor([[2.0, -1.0], [-0.5, 1.5]])
        >>> round(logit_mse(student, teacher).item(), 6)
        0.795
    """
    require_one_shape(student_logits, teacher_logits)
    examples, classes = student_logits.shape
    total = (widen(student_logits) - widen(teacher_logits)).square().sum()
    return total / ((examples if normaliser is None else normaliser) * classes)


def soft_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    kind: Kind = "ce",
    temperature: float = 1.0,
    reduction: Reduction = "batchmean",
    t_squared: bool = False,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    """The loss against the teacher's logits that a recipe names: :func:`soft_cross_entropy` (``ce``),
    :func:`soft_kl_divergence` (``kl``) or :func:`logit_mse`, which reads no temperature.

    Args:
        student_logits: logits, shape ``[B, C]``
        teacher_logits: the teacher's logits for the same classes, shape ``[B, C]``
        kind: which loss
        temperature: what both sides' logits are divided by, as there
        reduction: what the sum is divided by, as there
        t_squared: multiply the loss by the square of the temperature, as there
        normaliser: what the sum is divided by in place of B, as there

    Raises:
        ValueError: for another kind

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, -0.5]]), torch.tensor([[2.0, -1.0]])
        >>> soft_loss(student, teacher) == soft_cross_entropy(student, teacher)
        tensor(True)
    """
    if kind == "logit_mse":
        return logit_mse(student_logits, teacher_logits, normaliser)
    if kind not in ("ce", "kl"):
        raise ValueError(f"kind must be 'ce', 'kl' or 'logit_mse', not {kind!r}")
    loss = soft_cross_entropy if kind == "ce" else soft_kl_divergence
    return loss(student_logits, teacher_logits, temperature, reduction, t_squared, normaliser)


def _targets(
    student: Tensor, teacher: Tensor, temperature: float, reduction: Reduction, normaliser: float | Tensor | None
) -> tuple[Tensor, float | Tensor]:
    """Return the teacher's softened distribution and what a sum over examples and classes is divided by."""
    require_one_shape(student, teacher)
    if reduction not in ("batchmean", "mean"):
        raise ValueError(f"reduction must be 'batchmean' or 'mean', not {reduction!r}")
    examples, classes = student.shape
    count: float | Tensor = (examples if normaliser is None else normaliser) * (classes if reduction == "mean" else 1)
    return torch.softmax(widen(teacher) / temperature, dim=-1), count

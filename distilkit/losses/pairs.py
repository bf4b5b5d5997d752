"""Losses of the student's scores of (positive, negative) passages of a query, with and without a teacher's scores."""

from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.tensors import Variant, checked, require_one_shape, widen


def margin_mse(
    student_positive: Tensor,
    student_negative: Tensor,
    teacher_positive: Tensor,
    teacher_negative: Tensor,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Margin-MSE: the mean squared error of the student's signed margins against the teacher's.

    .. math:: L = \frac{1}{B} \sum_b \left((s^+_b - s^-_b) - (t^+_b - t^-_b)\right)^2

    Args:
        student_positive: the student's raw scores of the positive passages, shape ``[B]``
        student_negative: those of the negative passages, shape ``[B]``
        teacher_positive: the teacher's raw scores (logits, never probabilities) of the positive passages, shape ``[B]``
        teacher_negative: those of the negative passages, shape ``[B]``
        normaliser: what the sum is divided by in place of B, for a batch cut into micro-batches

    References:
        - Hofstätter et al. 2020, Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
          Distillation, equation 12: https://arxiv.org/abs/2010.02666

    Examples:
        >>> import torch
        >>> student = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 1.5])
        >>> teacher = torch.tensor([5.0, 3.0]), torch.tensor([3.0, 4.0])
        >>> margin_mse(*student, *teacher).item()  # margins 1 and -1 against 2 and -1
        0.5
    """
    _require_one_shape(student_positive, student_negative, teacher_positive, teacher_negative)
    margins = widen(student_positive) - widen(student_negative)
    errors = margins - (widen(teacher_positive) - widen(teacher_negative))
    return _mean(errors.square(), normaliser)


def pointwise_mse(
    student_positive: Tensor,
    student_negative: Tensor,
    teacher_positive: Tensor,
    teacher_negative: Tensor,
    variant: Variant = "paper",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""The mean squared error of the student's scores against the teacher's, of both passages of a pair.

    .. math:: L = \frac{1}{B} \sum_b (s^+_b - t^+_b)^2 + (s^-_b - t^-_b)^2

    Args:
        student_positive: the student's raw scores of the positive passages, shape ``[B]``
        student_negative: those of the negative passages, shape ``[B]``
        teacher_positive: the teacher's raw scores of the positive passages, shape ``[B]``
        teacher_negative: those of the negative passages, shape ``[B]``
        variant: ``paper`` adds the two errors as above; ``released_code`` takes their mean, half of it
        normaliser: what the sum is divided by in place of B, for a batch cut into micro-batches

    References:
        - Hofstätter et al. 2020, Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
          Distillation, equation 13: https://arxiv.org/abs/2010.02666

    Examples:
        >>> import torch
        >>> student = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 1.5])
        >>> teacher = torch.tensor([5.0, 3.5]), torch.tensor([1.0, 1.5])
        >>> pointwise_mse(*student, *teacher).item()
        9.0
        >>> pointwise_mse(*student, *teacher, variant="released_code").item()
        4.5
    """
    _require_one_shape(student_positive, student_negative, teacher_positive, teacher_negative)
    positive = (widen(student_positive) - widen(teacher_positive)).square()
    negative = (widen(student_negative) - widen(teacher_negative)).square()
    return _mean(positive + negative, normaliser) / (2 if checked(variant) == "released_code" else 1)


def ranknet(
    student_positive: Tensor,
    student_negative: Tensor,
    teacher_positive: Tensor | None = None,
    teacher_negative: Tensor | None = None,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""RankNet: the cross-entropy of the order of two passages, of which the first is known to be the better one.

    .. math:: L = \frac{1}{B} \sum_b \log\left(1 + \exp(s^-_b - s^+_b)\right)

    Args:
        student_positive: the student's raw scores of the positive passages, shape ``[B]``
        student_negative: those of the negative passages, shape ``[B]``
        teacher_positive: not read: it is here so that all losses of pairs are called alike
        teacher_negative: not read
        normaliser: what the sum is divided by in place of B, for a batch cut into micro-batches

    References:
        - Burges et al. 2005, Learning to Rank using Gradient Descent: https://doi.org/10.1145/1102351.1102363

    Examples:
        >>> import torch
        >>> round(ranknet(torch.tensor([2.0, 0.5]), torch.tensor([1.0, 1.5])).item(), 6)
        0.813262
    """
    _require_one_shape(student_positive, student_negative)
    return _mean(F.softplus(widen(student_negative) - widen(student_positive)), normaliser)


def weighted_ranknet(
    student_positive: Tensor,
    student_negative: Tensor,
    teacher_positive: Tensor,
    teacher_negative: Tensor,
    variant: Variant = "paper",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""RankNet, each pair weighted by the teacher's margin.

    .. math:: L = \frac{1}{B} \sum_b \left|t^+_b - t^-_b\right| \log\left(1 + \exp(s^-_b - s^+_b)\right)

    Args:
        student_positive: the student's raw scores of the positive passages, shape ``[B]``
        student_negative: those of the negative passages, shape ``[B]``
        teacher_positive: the teacher's raw scores of the positive passages, shape ``[B]``
        teacher_negative: those of the negative passages, shape ``[B]``
        variant: ``paper`` weights by the absolute margin; ``released_code`` by the signed one, which rewards the
            student for inverting a pair that the teacher inverts, without a lower bound
        normaliser: what the sum is divided by in place of B, for a batch cut into micro-batches

    References:
        - Hofstätter et al. 2020, Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
          Distillation, equation 14: https://arxiv.org/abs/2010.02666

    Examples:
        >>> import torch
        >>> student = torch.tensor([2.0, 0.5]), torch.tensor([1.0, 1.5])
        >>> teacher = torch.tensor([5.0, 3.0]), torch.tensor([3.0, 4.0])
        >>> round(weighted_ranknet(*student, *teacher).item(), 6)
        0.969893
        >>> round(weighted_ranknet(*student, *teacher, variant="released_code").item(), 6)
        -0.343369
    """
    _require_one_shape(student_positive, student_negative, teacher_positive, teacher_negative)
    weights = widen(teacher_positive) - widen(teacher_negative)
    weights = weights if checked(variant) == "released_code" else weights.abs()
    return _mean(weights * F.softplus(widen(student_negative) - widen(student_positive)), normaliser)


def _require_one_shape(first: Tensor, *others: Tensor) -> None:
    for other in others:
        require_one_shape(first, other)


def _mean(losses: Tensor, normaliser: float | Tensor | None) -> Tensor:
    return losses.sum() / (max(losses.numel(), 1) if normaliser is None else normaliser)

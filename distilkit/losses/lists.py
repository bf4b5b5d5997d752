"""Losses of the student's scores of a query's candidates against the teacher's distribution or order."""

import torch
from torch import Tensor

from distilkit.losses.masked_lists import best_first, masked_lists, mean_of_lists


def kl_divergence(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    student_temperature: float = 1.0,
    teacher_temperature: float = 1.0,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""The Kullback-Leibler divergence of the student's distribution over the candidates from the teacher's.

    .. math:: L = \frac{1}{B} \sum_b \sum_n p_{b,n} \log \frac{p_{b,n}}{q_{b,n}},
        \quad p = \operatorname{softmax}(t / T_t), \quad q = \operatorname{softmax}(s / T_s)

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores of the same candidates, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        student_temperature: T_s
        teacher_temperature: T_t
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Hinton et al. 2015, Distilling the Knowledge in a Neural Network: https://arxiv.org/abs/1503.02531
        - Santhanam et al. 2022, ColBERTv2: https://arxiv.org/abs/2112.01488

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, 9.0]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(kl_divergence(student, teacher, mask).item(), 6)
        0.067131
        >>> kl_divergence(student, teacher, mask, teacher_temperature=2.0).item()
        0.0
    """
    student, teacher, real = masked_lists(student_scores, teacher_scores, mask)
    log_q, log_p = _log_softmax(student / student_temperature, real), _log_softmax(teacher / teacher_temperature, real)
    losses = (log_p.exp() * (log_p - log_q)).sum(dim=1)
    return mean_of_lists(losses, real, normaliser)


def list_net(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""ListNet: the cross-entropy of the probabilities that each candidate is the first one.

    .. math:: L = -\frac{1}{B} \sum_b \sum_n \operatorname{softmax}(t_b)_n \log \operatorname{softmax}(s_b)_n

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores, or labels, of the same candidates, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Cao et al. 2007, Learning to Rank: From Pairwise Approach to Listwise Approach:
          https://doi.org/10.1145/1273496.1273513

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, 9.0]])
        >>> round(list_net(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)
        0.432465
    """
    student, teacher, real = masked_lists(student_scores, teacher_scores, mask)
    targets = _log_softmax(teacher, real).exp()
    return mean_of_lists(-(targets * _log_softmax(student, real)).sum(dim=1), real, normaliser)


def list_mle(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""ListMLE: the negative log-likelihood of the teacher's order under the student's scores.

    .. math:: L = -\frac{1}{B} \sum_b \sum_i \log \frac{\exp s_{b,\pi_i}}{\sum_{k \geq i} \exp s_{b,\pi_k}}

    where :math:`\pi` is the order of the teacher's scores, best first. Candidates to which the teacher gives one score
    stand in the student's own order, so that the order of the columns does not matter.

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores, or labels, of the same candidates, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Xia et al. 2008, Listwise Approach to Learning to Rank: Theory and Algorithm:
          https://doi.org/10.1145/1390156.1390306

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 3.0, 1.0]])
        >>> round(list_mle(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)
        1.313262
    """
    student, teacher, real = masked_lists(student_scores, teacher_scores, mask)
    order = best_first(teacher, student.detach(), real)
    scores, kept = student.gather(1, order), real.gather(1, order)
    # The lowest number and not infinity, whose gradient would be NaN.
    open_scores = scores.masked_fill(~kept, torch.finfo(scores.dtype).min)
    rest = open_scores.flip(1).logcumsumexp(dim=1).flip(1)
    return mean_of_lists((rest - scores).masked_fill(~kept, 0.0), real, normaliser)


def _log_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """Return the logarithms of the candidates' softmax, zero at padding."""
    # The lowest number and not infinity: a softmax over nothing but padding would be NaN, gradient included.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~real, lowest).log_softmax(dim=1).masked_fill(~real, 0.0)

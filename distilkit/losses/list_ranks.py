"""Losses of the ranks that the student gives a query's candidates."""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.masked_lists import best_first, masked_lists, mean_of_lists, shared_ranks


def lambda_rank(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    labels: Tensor | None = None,
    sigma: float = 1.0,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""LambdaRank: RankNet over all pairs of a list, each weighted by the nDCG that exchanging the two would change.

    .. math:: L = \frac{1}{B} \sum_b \sum_{i,j: g_i > g_j} \left|\Delta_{ij}\right| \log(1 + e^{-\sigma (s_i - s_j)}),
        \quad \Delta_{ij} = \frac{(g_i - g_j)}{\max DCG}
        \left(\frac{1}{\log_2(1 + r_i)} - \frac{1}{\log_2(1 + r_j)}\right)

    where :math:`r` is the rank by the student's own scores, which the weights see as a constant.

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores of the same candidates, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        labels: relevance grades, shape ``[B, N]``, whose gains :math:`2^y - 1` take the teacher's place; without them
            the gain of a candidate is 1 by its rank in the teacher's order, a choice of distilkit's
        sigma: the slope
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Burges et al. 2006, Learning to Rank with Nonsmooth Cost Functions
        - Wang et al. 2018, The LambdaLoss Framework for Ranking Metric Optimization:
          https://doi.org/10.1145/3269206.3271784

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[3.0, 0.0, 9.0]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(lambda_rank(student, teacher, mask).item(), 6)
        0.184226
        >>> round(lambda_rank(student, teacher, mask, labels=torch.tensor([[1, 0, 0]])).item(), 6)
        0.484686
    """
    student, teacher, real = masked_lists(student_scores, teacher_scores, mask)
    gains = (_gains(labels.to(student.dtype)) if labels is not None else 1 / shared_ranks(teacher, real)).detach()
    gains = gains.masked_fill(~real, 0.0)
    pairs = (gains[:, :, None] > gains[:, None, :]) & real[:, :, None] & real[:, None, :]
    orders = F.softplus(-sigma * (student[:, :, None] - student[:, None, :]))
    losses = (_ndcg_changes(student.detach(), gains, real) * orders).masked_fill(~pairs, 0.0)
    return mean_of_lists(losses, real, normaliser)


def adr_mse(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""ADR-MSE: the discounted mean squared error of smooth ranks of the student against the teacher's ranks.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{N_b} \sum_i \frac{\left(r_i - \hat r_i\right)^2}{\log_2(1 + r_i)},
        \quad \hat r_i = 1 + \sum_{j \neq i} \operatorname{sigmoid}\left(\frac{s_j - s_i}{T}\right)

    where :math:`r` is the rank by the teacher's scores; candidates of one score share the mean of their ranks.

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores of the same candidates, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        temperature: T
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Schlatt et al. 2025, Rank-DistiLLM: Closing the Effectiveness Gap Between Cross-Encoders and LLMs for Passage
          Re-ranking: https://arxiv.org/abs/2405.07920

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[3.0, 0.0, 9.0]])
        >>> round(adr_mse(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)  # both smooth ranks are 1.5
        0.203866
    """
    student, teacher, real = masked_lists(student_scores, teacher_scores, mask)
    ranks = shared_ranks(teacher, real)
    ahead = torch.sigmoid((student[:, None, :] - student[:, :, None]) / temperature)
    # A candidate is ahead of itself by a half: the one that ranks are counted from is half of it.
    smooth = 0.5 + ahead.masked_fill(~real[:, None, :], 0.0).sum(dim=2)
    errors = ((ranks - smooth).square() / torch.log2(1 + ranks)).masked_fill(~real, 0.0)
    return mean_of_lists(errors.sum(dim=1) / real.sum(dim=1).clamp(min=1), real, normaliser)


def _gains(labels: Tensor) -> Tensor:
    return torch.exp2(labels.clamp(min=0.0)) - 1.0


def _ndcg_changes(student: Tensor, gains: Tensor, real: Tensor) -> Tensor:
    """Return by how much nDCG changes when two candidates of the student's ranking change places, ``[B, N, N]``."""
    places = 1 / torch.log2(torch.arange(2, student.shape[1] + 2, device=student.device).to(student.dtype))
    order = best_first(student, gains, real)
    discounts = torch.zeros_like(student).scatter(1, order, places.expand_as(student))
    best = (gains.sort(dim=1, descending=True).values * places).sum(dim=1)
    best = torch.where(best > 0, best, 1.0)
    swapped = (gains[:, :, None] - gains[:, None, :]) * (discounts[:, :, None] - discounts[:, None, :])
    return swapped.abs() / best[:, None, None]

"""Losses of the student's scores of a query's candidates against the teacher's: its distribution, order or ranks.

Lists of unequal lengths are rows padded to one length, with a mask of what is a candidate.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.tensors import require_one_shape, widen

Discount = Literal["log2", "none"]


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

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, 9.0]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(kl_divergence(student, teacher, mask).item(), 6)
        0.067131
        >>> kl_divergence(student, teacher, mask, teacher_temperature=2.0).item()
        0.0
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    log_q, log_p = _log_softmax(student / student_temperature, real), _log_softmax(teacher / teacher_temperature, real)
    losses = (log_p.exp() * (log_p - log_q)).sum(dim=1)
    return _mean_of_lists(losses, real, normaliser)


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

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 0.0, 9.0]])
        >>> round(list_net(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)
        0.432465
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    targets = _log_softmax(teacher, real).exp()
    return _mean_of_lists(-(targets * _log_softmax(student, real)).sum(dim=1), real, normaliser)


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

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[2.0, 3.0, 1.0]])
        >>> round(list_mle(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)
        1.313262
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    order = _best_first(teacher, student.detach(), real)
    scores, kept = student.gather(1, order), real.gather(1, order)
    # The lowest number and not infinity, whose gradient would be NaN.
    open_scores = scores.masked_fill(~kept, torch.finfo(scores.dtype).min)
    rest = open_scores.flip(1).logcumsumexp(dim=1).flip(1)
    return _mean_of_lists((rest - scores).masked_fill(~kept, 0.0), real, normaliser)


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

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 2.0, 9.0]]), torch.tensor([[3.0, 0.0, 9.0]])
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(lambda_rank(student, teacher, mask).item(), 6)
        0.184226
        >>> round(lambda_rank(student, teacher, mask, labels=torch.tensor([[1, 0, 0]])).item(), 6)
        0.484686
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    gains = (_gains(labels.to(student.dtype)) if labels is not None else 1 / _shared_ranks(teacher, real)).detach()
    gains = gains.masked_fill(~real, 0.0)
    pairs = (gains[:, :, None] > gains[:, None, :]) & real[:, :, None] & real[:, None, :]
    orders = F.softplus(-sigma * (student[:, :, None] - student[:, None, :]))
    losses = (_ndcg_changes(student.detach(), gains, real) * orders).masked_fill(~pairs, 0.0)
    return _mean_of_lists(losses, real, normaliser)


def adr_mse(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    discount: Discount = "log2",
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
        discount: ``log2`` as above; with ``none`` every rank's error counts alike
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Schlatt et al. 2025, Rank-DistiLLM: Closing the Effectiveness Gap Between Cross-Encoders and LLMs for Passage
          Re-ranking: https://arxiv.org/abs/2405.07920

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[3.0, 0.0, 9.0]])
        >>> round(adr_mse(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)  # both smooth ranks are 1.5
        0.203866
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    ranks = _shared_ranks(teacher, real)
    ahead = torch.sigmoid((student[:, None, :] - student[:, :, None]) / temperature)
    # A candidate is ahead of itself by a half: the one that ranks are counted from is half of it.
    smooth = 0.5 + ahead.masked_fill(~real[:, None, :], 0.0).sum(dim=2)
    errors = ((ranks - smooth).square() * _discounts(ranks, discount)).masked_fill(~real, 0.0)
    return _mean_of_lists(errors.sum(dim=1) / real.sum(dim=1).clamp(min=1), real, normaliser)


def list_ranknet(
    student_scores: Tensor,
    teacher_scores: Tensor,
    mask: Tensor | None = None,
    discount: Discount = "log2",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""RankNet over a list: the mean cross-entropy of the order of every two candidates, by the teacher's ranks alone.

    .. math:: L = \frac{1}{B} \sum_b \frac{1}{P_b} \sum_{i,j: r_i < r_j} w_i \log(1 + e^{s_j - s_i}),
        \quad w_i = \frac{1}{\log_2(1 + r_i)}

    where :math:`r` is the rank by the teacher's scores and :math:`P_b` the number of pairs of different rank.

    Args:
        student_scores: a row of raw scores per query, shape ``[B, N]``
        teacher_scores: the teacher's raw scores of the same candidates, or anything in their order, shape ``[B, N]``
        mask: true (or 1) for candidates and false for padding, shape ``[B, N]``; a row of padding does not count
        discount: ``log2`` weighs a pair by the rank of its better candidate; with ``none`` every pair counts alike, as
            in RankGPT
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Burges et al. 2005, Learning to Rank using Gradient Descent: https://doi.org/10.1145/1102351.1102363
        - Sun et al. 2023, Is ChatGPT Good at Search? (RankGPT), section 4: https://arxiv.org/abs/2304.09542

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([[1.0, 0.0, 9.0]]), torch.tensor([[3.0, 0.0, 9.0]])
        >>> round(list_ranknet(student, teacher, torch.tensor([[1, 1, 0]])).item(), 6)
        0.313262
    """
    student, teacher, real = _masked_lists(student_scores, teacher_scores, mask)
    pairs = (teacher[:, :, None] > teacher[:, None, :]) & real[:, :, None] & real[:, None, :]
    orders = F.softplus(student[:, None, :] - student[:, :, None])
    weights = _discounts(_shared_ranks(teacher, real), discount)[:, :, None]
    losses = (weights * orders).masked_fill(~pairs, 0.0).sum(dim=(1, 2))
    return _mean_of_lists(losses / pairs.sum(dim=(1, 2)).clamp(min=1), real, normaliser)


def count_lists(mask: Tensor) -> Tensor:
    """Return the number of rows that hold a candidate, which the losses of lists divide by.

    Examples:
        >>> import torch
        >>> count_lists(torch.tensor([[1, 1], [1, 0], [0, 0]])).item()
        2
    """
    return mask.bool().any(dim=1).sum()


def _masked_lists(student_scores: Tensor, teacher_scores: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
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


def _mean_of_lists(losses: Tensor, real: Tensor, normaliser: float | Tensor | None) -> Tensor:
    """Return the sum of the rows' losses by the number of rows that hold a candidate, or by the normaliser."""
    return losses.sum() / (count_lists(real).clamp(min=1) if normaliser is None else normaliser)


def _best_first(scores: Tensor, ties: Tensor, real: Tensor) -> Tensor:
    """Return the columns of each row by score descending, equal ones by `ties` descending, padding last."""
    lowest = -torch.inf
    by_ties = ties.masked_fill(~real, lowest).argsort(dim=1, descending=True, stable=True)
    by_score = scores.masked_fill(~real, lowest).gather(1, by_ties).argsort(dim=1, descending=True, stable=True)
    return by_ties.gather(1, by_score)


def _shared_ranks(scores: Tensor, real: Tensor) -> Tensor:
    """Return each candidate's rank from 1 by score descending; equal scores share the mean of their ranks.

    What stands at padding means nothing.
    """
    one, other = scores[:, :, None], scores[:, None, :]
    above = (other > one) + 0.5 * (other == one).to(scores.dtype)
    # A candidate equals itself: a half too many, of the one that ranks are counted from.
    return 0.5 + above.masked_fill(~real[:, None, :], 0.0).sum(dim=2)


def _discounts(ranks: Tensor, discount: Discount) -> Tensor:
    """Return what the errors at ranks from 1 count for; raises ValueError for a discount that does not exist."""
    if discount not in ("log2", "none"):
        raise ValueError(f"discount must be 'log2' or 'none', not {discount!r}")
    return 1 / torch.log2(1 + ranks) if discount == "log2" else torch.ones_like(ranks)


def _log_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """Return the logarithms of the candidates' softmax, zero at padding."""
    # The lowest number and not infinity: a softmax over nothing but padding would be NaN, gradient included.
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~real, lowest).log_softmax(dim=1).masked_fill(~real, 0.0)


def _gains(labels: Tensor) -> Tensor:
    return torch.exp2(labels.clamp(min=0.0)) - 1.0


def _ndcg_changes(student: Tensor, gains: Tensor, real: Tensor) -> Tensor:
    """Return by how much nDCG changes when two candidates of the student's ranking change places, ``[B, N, N]``."""
    places = 1 / torch.log2(torch.arange(2, student.shape[1] + 2, device=student.device).to(student.dtype))
    order = _best_first(student, gains, real)
    discounts = torch.zeros_like(student).scatter(1, order, places.expand_as(student))
    best = (gains.sort(dim=1, descending=True).values * places).sum(dim=1)
    best = torch.where(best > 0, best, 1.0)
    swapped = (gains[:, :, None] - gains[:, None, :]) * (discounts[:, :, None] - discounts[:, None, :])
    return swapped.abs() / best[:, None, None]

"""Losses of bi-encoders over a batch: one positive against all other passages, by labels or by a teacher's margins."""

import torch
from torch import Tensor

from distilkit.losses.labels import list_cross_entropy
from distilkit.losses.tensors import require_one_shape, widen


def info_nce(
    scores: Tensor,
    positives: Tensor | None = None,
    excluded: Tensor | None = None,
    temperature: float = 1.0,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""InfoNCE: the cross-entropy of each query's positive among all passages that it is compared with.

    .. math:: L = -\frac{1}{B} \sum_b \log \frac{\exp(s_{b,y_b} / T)}{\sum_n \exp(s_{b,n} / T)}

    Args:
        scores: a row of scores per query, shape ``[B, N]``
        positives: the column of each row's positive, shape ``[B]``; the first column by default
        excluded: true for passages that are not negatives of a query, since they are relevant too, shape ``[B, N]``
        temperature: T
        normaliser: what the sum is divided by in place of the number of rows

    References:
        - van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding:
          https://arxiv.org/abs/1807.03748
        - Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering:
          https://arxiv.org/abs/2004.04906

    Examples:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [0.5, 0.5, 9.0]])
        >>> excluded = torch.tensor([[False, False, False], [False, False, True]])
        >>> round(info_nce(scores, torch.tensor([0, 1]), excluded).item(), 6)
        0.550377
    """
    mask = None if excluded is None else torch.logical_not(excluded)
    return list_cross_entropy(scores / temperature, mask, positives, normaliser)


def in_batch_margin_mse(
    scores: Tensor,
    teacher: Tensor,
    positives: Tensor,
    own: Tensor,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Margin-MSE of each query's positive against the passages of all other queries of a batch.

    .. math:: L = \frac{1}{2} \sum_{P \in \{P^+, P^-\}} \frac{1}{B (B - 1)} \sum_{i} \sum_{j \ne i}
        \left((s_{i,p_i^+} - s_{i,P_j}) - (t_{i,p_i^+} - t_{i,P_j})\right)^2

    Args:
        scores: the student's score of each query with every passage, shape ``[B, N]``
        teacher: the teacher's scores of the same pairs, shape ``[B, N]``
        positives: the column of each query's positive, shape ``[B]``
        own: true for a query's own passages, which other losses compare, shape ``[B, N]``
        normaliser: what the sum is divided by in place of the number of passages that are not a query's own

    References:
        - Hofstätter et al. 2021, Efficiently Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling:
          https://arxiv.org/abs/2104.06967

    Examples:
        >>> import torch
        >>> scores = torch.tensor([[3.0, 1.0], [0.0, 2.0]])
        >>> teacher = torch.tensor([[2.0, 1.0], [1.0, 1.0]])
        >>> in_batch_margin_mse(scores, teacher, torch.tensor([0, 1]), torch.eye(2).bool()).item()
        2.5
    """
    require_one_shape(scores, teacher)
    margins, wanted = (side.gather(1, positives[:, None]) - side for side in (widen(scores), widen(teacher)))
    errors = (margins - wanted).square().masked_fill(own, 0.0)
    count = torch.logical_not(own).sum().clamp(min=1) if normaliser is None else normaliser
    return errors.sum() / count

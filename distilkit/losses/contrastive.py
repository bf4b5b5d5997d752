"""The contrastive loss of bi-encoders: one positive against all other passages of a batch."""

import torch
from torch import Tensor

from distilkit.losses.labels import list_cross_entropy


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
        excluded: true for passages that are no negatives of a query, since they are relevant too, shape ``[B, N]``
        temperature: T
        normaliser: what the sum is divided by in place of the number of rows

    References:
        - van den Oord et al. 2018, Representation Learning with Contrastive Predictive Coding:
          https://arxiv.org/abs/1807.03748
        - Karpukhin et al. 2020, Dense Passage Retrieval for Open-Domain Question Answering:
          https://arxiv.org/abs/2004.04906

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [0.5, 0.5, 9.0]])
        >>> excluded = torch.tensor([[False, False, False], [False, False, True]])
        >>> round(info_nce(scores, torch.tensor([0, 1]), excluded).item(), 6)
        0.550377
    """
    mask = None if excluded is None else torch.logical_not(excluded)
    return list_cross_entropy(scores / temperature, mask, positives, normaliser)

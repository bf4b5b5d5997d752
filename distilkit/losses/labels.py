"""Losses of the student's outputs against relevance labels."""

import torch
from torch import Tensor
from torch.nn import functional as F

from distilkit.losses.tensors import widen


def hard_cross_entropy(student_logits: Tensor, labels: Tensor, normaliser: float | Tensor | None = None) -> Tensor:
    r"""Cross-entropy of the student's class logits against the true classes.

    .. math:: L = -\frac{1}{B} \sum_b \log \operatorname{softmax}(z_b)_{y_b}

    Args:
        student_logits: logits, shape ``[B, C]``
        labels: the true class of each example, 0 to C-1, shape ``[B]``
        normaliser: what the sum is divided by in place of B, for a batch cut into micro-batches

    References:
        - Chen et al. 2021, Simplified TinyBERT: Knowledge Distillation for Document Retrieval: https://arxiv.org/abs/2009.07531

    Examples:
        >>> import torch
        >>> logits = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
        >>> round(hard_cross_entropy(logits, torch.tensor([0, 1])).item(), 6)
        0.422905
    """
    total = F.cross_entropy(widen(student_logits), labels.long(), reduction="sum")
    return total / (labels.numel() if normaliser is None else normaliser)


def list_cross_entropy(
    scores: Tensor,
    mask: Tensor | None = None,
    labels: Tensor | None = None,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Localised contrastive estimation: the cross-entropy of a query's list of scores against its one positive.

    .. math:: L = -\frac{1}{B} \sum_b \log \frac{\exp s_{b,y_b}}{\sum_n \exp s_{b,n}}

    Args:
        scores: a row of scores per query, shape ``[B, N]``
        mask: true (or 1) for real candidates and false for padding, shape ``[B, N]``; a row whose positive is padding
            does not count
        labels: the column of each row's positive, shape ``[B]``; the first column by default
        normaliser: what the sum is divided by in place of the number of rows that count

    References:
        - Gao et al. 2021, Rethink Training of BERT Rerankers in Multi-Stage Retrieval Pipeline: https://arxiv.org/abs/2101.08751

    Examples:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [0.5, 0.5, 9.0]])
        >>> mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
        >>> round(list_cross_entropy(scores, mask).item(), 6)
        0.550377
    """
    scores = widen(scores)
    labels = scores.new_zeros(len(scores), dtype=torch.long) if labels is None else labels.long()
    counted = torch.ones_like(labels, dtype=torch.bool)
    if mask is not None:
        counted = mask.bool().gather(1, labels[:, None]).squeeze(1)
        # Rows that do not count become all zeros, since a softmax over nothing but padding is NaN, gradient included.
        scores = scores.masked_fill(~mask.bool(), -torch.inf).masked_fill(~counted[:, None], 0.0)
    losses = F.cross_entropy(scores, labels, reduction="none").masked_fill(~counted, 0.0)
    return losses.sum() / (counted.sum().clamp(min=1) if normaliser is None else normaliser)

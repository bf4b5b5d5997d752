"""Transfer of self-attention relations: how alike a layer's queries, keys and values are among themselves."""

from collections.abc import Sequence

import torch
from torch import Tensor

from distilkit.losses.tensors import widen


def relation_kl(
    student_vectors: Sequence[Tensor],
    teacher_vectors: Sequence[Tensor],
    mask: Tensor,
    relation_heads: int | None = None,
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""MiniLMv2: the Kullback-Leibler divergence of relations among queries, among keys and among values, added up.

    .. math:: L = \sum_{X \in \{Q, K, V\}} \frac{1}{A_r n} \sum_{a=1}^{A_r} \sum_{i=1}^{n}
        D_{KL}\left(R^t_{a,i} \,\|\, R^s_{a,i}\right),
        \quad R_a = \operatorname{softmax}\left(\frac{X_a X_a^T}{\sqrt{d_r}}\right)

    The vectors of all attention heads stand side by side and are cut into :math:`A_r` relation heads of size d_r,
    so that student and teacher need neither one number of heads nor one width, and no projection.

    Args:
        student_vectors: queries, keys and values of a layer of the student, shape ``[B, heads, L, d]`` each
        teacher_vectors: those of a layer of the teacher, whose heads and d may be others
        mask: true (or 1) for tokens and false for padding, shape ``[B, L]``
        relation_heads: A_r; the teacher's number of attention heads by default
        normaliser: the number of tokens to divide by, for a batch cut into micro-batches

    Raises ValueError where A_r does not divide the width of either model.

    References:
        - Wang et al. 2021, MiniLMv2: Multi-Head Self-Attention Relation Distillation for Compressing Pretrained
          Transformers: https://arxiv.org/abs/2012.15828

    Examples:
        >>> import torch
        >>> student, teacher = [torch.zeros(1, 1, 2, 2)] * 3, [torch.eye(2)[None, None] * 2] * 3
        >>> round(relation_kl(student, teacher, torch.tensor([[1, 1]])).item(), 6)
        1.433627
    """
    heads = teacher_vectors[0].shape[1] if relation_heads is None else relation_heads
    real = mask.bool()
    tokens = real.sum() if normaliser is None else normaliser
    total = widen(student_vectors[0]).new_zeros(())
    for student, teacher in zip(student_vectors, teacher_vectors, strict=True):
        log_q, log_p = (_log_relations(one, real, heads) for one in (student, teacher))
        divergence = (log_p.exp() * (log_p - log_q)).sum(dim=-1)  # [B, A_r, L]
        total = total + divergence.masked_fill(~real[:, None], 0.0).sum() / (tokens * heads)
    return total


def _log_relations(vectors: Tensor, real: Tensor, heads: int) -> Tensor:
    """Return the logarithms of the relations, ``[B, A_r, L, L]``, zero for keys that are padding."""
    batch, own, length, size = vectors.shape
    if (own * size) % heads:
        raise ValueError(
            f"{heads} relation heads do not divide a width of {own * size}; expected relation_heads that divide the "
            "student's and the teacher's"
        )
    joined = widen(vectors).transpose(1, 2).reshape(batch, length, heads, -1).transpose(1, 2)
    scores = torch.matmul(joined, joined.transpose(-1, -2)) / joined.shape[-1] ** 0.5
    keys = ~real[:, None, None, :]
    # The lowest number and not infinity: of a row of padding alone the softmax would be NaN, gradient included.
    logs: Tensor = scores.masked_fill(keys, torch.finfo(scores.dtype).min).log_softmax(dim=-1)
    return logs.masked_fill(keys, 0.0)

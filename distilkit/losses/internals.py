"""Losses of the student's attention scores and hidden states against the teacher's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from distilkit.losses.tensors import Variant, checked, require_one_shape, squared_error, widen

# The released code marks padding by an added -10000 and takes every score at or below this one for padding.
PADDING_SCORE = -100.0


def count_pairs(mask: Tensor, variant: Variant = "paper") -> Tensor:
    """Return the number of (query, key) pairs of a batch that :func:`attention_mse` divides by.

    Examples:
        >>> import torch
        >>> count_pairs(torch.tensor([[1, 1, 0], [1, 1, 1]])).item()
        13
    """
    if checked(variant) == "released_code":
        return mask.new_tensor(mask.shape[0] * mask.shape[1] ** 2, dtype=torch.long)
    return mask.bool().sum(dim=1).square().sum()


def count_tokens(mask: Tensor, variant: Variant = "paper") -> Tensor:
    """Return the number of tokens of a batch that :func:`hidden_mse` divides by.

    Examples:
        >>> import torch
        >>> count_tokens(torch.tensor([[1, 1, 0], [1, 1, 1]])).item()
        5
    """
    if checked(variant) == "released_code":
        return mask.new_tensor(mask.numel(), dtype=torch.long)
    return mask.bool().sum()


def attention_mse(
    student_scores: Sequence[Tensor] | Tensor,
    teacher_scores: Sequence[Tensor] | Tensor,
    mask: Tensor,
    variant: Variant = "paper",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""Attention transfer: the mean squared error of the attention scores before the softmax, summed over layers.

    .. math:: L_{attn} = \sum_{m} \operatorname{mean}\left(A^s_m - A^t_{g(m)}\right)^2, \quad A = \frac{Q K^T}{\sqrt d}

    Args:
        student_scores: for each of the student's layers the raw scores, without the additive mask, shape
            ``[B, heads, L, L]``; a sequence, or one stacked tensor
        teacher_scores: the scores of the teacher's layers that these are mapped to, in the same order and shape
        mask: true (or 1) for tokens and false for padding, shape ``[B, L]``
        variant: ``paper`` takes the mean over the heads and the (query, key) pairs of tokens, so that padding changes
            nothing; ``released_code`` sets the scores of padded keys, and every score of -100 or less, to zero in both
            models and takes the mean over all ``B * heads * L * L`` entries, rows of padded queries included
        normaliser: the number of (query, key) pairs to divide by, heads not counted, for a batch cut into
            micro-batches (see :func:`~distilkit.losses.count_pairs`)

    References:
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351

    Examples:
        >>> import torch
        >>> student, teacher = torch.zeros(2, 1, 4, 3, 3), torch.ones(2, 1, 4, 3, 3)
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(attention_mse(student, teacher, mask).item(), 4)  # two layers, each with an error of 1
        2.0
        >>> round(attention_mse(student, teacher, mask, variant="released_code").item(), 4)
        1.3333
    """
    pairs = count_pairs(mask, variant) if normaliser is None else normaliser
    dropped = _dropped_pairs(mask, checked(variant))
    total = mask.new_zeros((), dtype=torch.float32)
    for student, teacher in _mapped(student_scores, teacher_scores):
        if student.shape[1] != teacher.shape[1]:
            raise ValueError(
                "attention transfer needs as many heads in the student as in the teacher, "
                f"not {student.shape[1]} and {teacher.shape[1]}"
            )
        require_one_shape(student, teacher)
        if variant == "released_code":
            error = squared_error(_zero_padding(student, dropped), _zero_padding(teacher, dropped))
        else:
            error = squared_error(student, teacher, dropped)
        total = total + error / (pairs * student.shape[1])
    return total


def hidden_mse(
    student_states: Sequence[Tensor] | Tensor,
    teacher_states: Sequence[Tensor] | Tensor,
    mask: Tensor,
    variant: Variant = "paper",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""The mean squared error of hidden states, summed over the mapped states.

    .. math:: L_{hidn} = \sum_{m} \operatorname{mean}\left(H^s_m W - H^t_{g(m)}\right)^2

    Args:
        student_states: the student's states after their projection W to the teacher's size, shape ``[B, L, H]`` each;
            a sequence, or one stacked tensor
        teacher_states: the teacher's states that these are mapped to, in the same order and shape
        mask: true (or 1) for tokens and false for padding, shape ``[B, L]``
        variant: ``paper`` takes the mean over tokens, so that padding changes nothing; ``released_code`` over all
            positions, padding included
        normaliser: the number of tokens to divide by, for a batch cut into micro-batches (see
            :func:`~distilkit.losses.count_tokens`)

    References:
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351

    Examples:
        >>> import torch
        >>> student, teacher = torch.zeros(1, 1, 3, 8), torch.ones(1, 1, 3, 8)
        >>> teacher[0, 0, 2] = 5.0  # at padding
        >>> mask = torch.tensor([[1, 1, 0]])
        >>> round(hidden_mse(student, teacher, mask).item(), 4)
        1.0
        >>> round(hidden_mse(student, teacher, mask, variant="released_code").item(), 4)
        9.0
    """
    tokens = count_tokens(mask, variant) if normaliser is None else normaliser
    dropped = None if checked(variant) == "released_code" else ~mask.bool()[:, :, None]
    total = mask.new_zeros((), dtype=torch.float32)
    for student, teacher in _mapped(student_states, teacher_states):
        if student.shape[-1] != teacher.shape[-1]:
            raise ValueError(
                "the student's states must be projected to the teacher's size first: "
                f"they have {student.shape[-1]} and {teacher.shape[-1]} dimensions"
            )
        require_one_shape(student, teacher)
        total = total + squared_error(student, teacher, dropped) / (tokens * student.shape[-1])
    return total


def embedding_mse(
    student_state: Tensor,
    teacher_state: Tensor,
    mask: Tensor,
    variant: Variant = "paper",
    normaliser: float | Tensor | None = None,
) -> Tensor:
    r"""The mean squared error of the embedding layers' outputs: :func:`hidden_mse` of one pair of states.

    .. math:: L_{embd} = \operatorname{mean}\left(E^s W_e - E^t\right)^2

    Args:
        student_state: the student's embeddings after their projection to the teacher's size, shape ``[B, L, H]``
        teacher_state: the teacher's embeddings, shape ``[B, L, H]``
        mask: true (or 1) for tokens and false for padding, shape ``[B, L]``
        variant: as in :func:`hidden_mse`
        normaliser: as in :func:`hidden_mse`

    References:
        - Jiao et al. 2020, TinyBERT: Distilling BERT for Natural Language Understanding: https://arxiv.org/abs/1909.10351

    Examples:
        >>> import torch
        >>> student, teacher = torch.zeros(1, 2, 8), torch.full((1, 2, 8), 3.0)
        >>> round(embedding_mse(student, teacher, torch.tensor([[1, 1]])).item(), 4)
        9.0
    """
    return hidden_mse([student_state], [teacher_state], mask, variant, normaliser)


def _dropped_pairs(mask: Tensor, variant: Variant) -> Tensor:
    padding = ~mask.bool()
    keys = padding[:, None, None, :]
    return keys if variant == "released_code" else keys | padding[:, None, :, None]


def _zero_padding(scores: Tensor, dropped: Tensor) -> Tensor:
    return widen(scores).masked_fill(dropped | (scores <= PADDING_SCORE), 0.0)


def _mapped(student: Sequence[Tensor] | Tensor, teacher: Sequence[Tensor] | Tensor) -> list[tuple[Tensor, Tensor]]:
    if len(student) != len(teacher):
        raise ValueError(f"{len(student)} layers of the student cannot be mapped to {len(teacher)} of the teacher")
    return list(zip(student, teacher, strict=True))

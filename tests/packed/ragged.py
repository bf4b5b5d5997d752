"""Random sequences of unequal length, one after another, and the same padded."""

import torch
from torch import Tensor

LENGTHS = [[7, 1, 12, 70], [1], [64, 65], [3, 3, 3]]
SCALES = (0.4, 0.2)
# Lengths, sizes of the student's and the teacher's heads, and dtype.
CASES = {
    "unequal": (LENGTHS[0], (8, 20), torch.float32),
    "one": (LENGTHS[1], (4, 4), torch.float32),
    "a tile and more": (LENGTHS[2], (32, 64), torch.float32),
    "equal": (LENGTHS[3], (16, 4), torch.float32),
    "float16": (LENGTHS[0], (32, 64), torch.float16),
    "bfloat16": (LENGTHS[0], (32, 64), torch.bfloat16),
}


def offsets_of(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *lengths]).cumsum(0).int()


def ragged(lengths: list[int], heads: int, size: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(lengths), heads, size, generator=generator, dtype=torch.float64).to(dtype)


def vectors(lengths: list[int], sizes: tuple[int, int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return queries and keys of a student, which is trained, and of a teacher, with two heads."""
    own = [ragged(lengths, 2, sizes[0], seed, dtype).requires_grad_() for seed in (0, 1)]
    return [*own, *(ragged(lengths, 2, sizes[1], seed, dtype) for seed in (2, 3))]


def pad(rows: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Return `[B, L, ...]` and its mask `[B, L]`."""
    whole = torch.nn.utils.rnn.pad_sequence(list(rows.split(lengths)), batch_first=True)
    return whole, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]

"""Packed batches: the tokens of all sequences in one flat array, without padding."""

from dataclasses import dataclass

import torch
from torch import Tensor

from distilkit.models.batch import TokenBatch


@dataclass(frozen=True)
class Packed:
    """The tokens of `B` sequences, one sequence after another: ids, positions and types, `[T]` each.

    Sequence b lies at `offsets[b]` to `offsets[b + 1]`, which are int32 and of shape `[B + 1]`. No sequence is longer
    than `longest`, and none is empty.
    """

    input_ids: Tensor
    positions: Tensor
    token_type_ids: Tensor | None
    offsets: Tensor
    longest: int

    @classmethod
    def of(cls, batch: TokenBatch) -> "Packed":
        """Return the tokens of a padded batch; cheapest where the batch lies on the CPU, for it counts tokens."""
        mask = batch.attention_mask
        types = batch.token_type_ids
        offsets = torch.zeros(len(mask) + 1, dtype=torch.int32, device=mask.device)
        offsets[1:] = mask.bool().sum(dim=1).cumsum(dim=0)
        places = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        return cls(
            pack(batch.input_ids, mask),
            pack(places, mask),
            None if types is None else pack(types, mask),
            offsets,
            mask.shape[1],
        )

    @property
    def cls_offsets(self) -> Tensor:
        """Where the first token of each sequence lies, shape `[B]`."""
        return self.offsets[:-1]

    @property
    def attention_mask(self) -> Tensor:
        """The mask that the losses of states read: all tokens as one row without padding, shape `[1, T]`."""
        return torch.ones_like(self.input_ids)[None]


def pack(padded: Tensor, mask: Tensor) -> Tensor:
    """Return a padded tensor `[B, L, ...]` without padding, `[T, ...]`; the mask `[B, L]` is true (or 1) for tokens."""
    return padded[mask.bool()]

"""A padded batch of tokenised texts."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenBatch:
    """Token ids, the attention mask (1 for tokens, 0 for padding) and the token types, each of shape `[B, L]`."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "TokenBatch":
        """Return the batch on a device."""
        types = self.token_type_ids
        return TokenBatch(
            self.input_ids.to(device, non_blocking=non_blocking),
            self.attention_mask.to(device, non_blocking=non_blocking),
            None if types is None else types.to(device, non_blocking=non_blocking),
        )

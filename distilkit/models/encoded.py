"""Encoded queries and documents (their vectors), in memory and on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import xxhash
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from distilkit.errors import UserError
from distilkit.files import atomic_path
from distilkit.models.batch import TokenBatch, batch_of, on_device

if TYPE_CHECKING:
    from distilkit.data.arrays import Integers
    from distilkit.data.side_tokens import Side

STORED = (torch.float16, torch.float32)
HASH = "hash"


@dataclass(frozen=True)
class Encoded:
    """Texts as vectors: `states` `[B, L, d]` with a `mask` `[B, L]`, true where there is one, or `[B, d]` without."""

    states: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.states)

    def rows(self, index: Tensor | slice) -> "Encoded":
        """Return some of the texts."""
        return Encoded(self.states[index], None if self.mask is None else self.mask[index])

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Encoded":
        """Return them on a device, or with states of another dtype."""
        return Encoded(self.states.to(device, dtype), None if self.mask is None else self.mask.to(device))

    @classmethod
    def concatenated(cls, parts: Sequence["Encoded"]) -> "Encoded":
        """Return the texts of all parts, padded to the longest."""
        # Nothing is computed here, and autocast would look for a type to compute in: it knows none of float16 on a CPU.
        with torch.autocast(parts[0].states.device.type, enabled=False):
            if any(part.mask is None for part in parts):
                return cls(torch.cat([part.states for part in parts]))
            length = max(part.states.shape[1] for part in parts)
            masks = [F.pad(part.mask, (0, length - part.states.shape[1])) for part in parts if part.mask is not None]
            states = [F.pad(part.states, (0, 0, 0, length - part.states.shape[1])) for part in parts]
            return cls(torch.cat(states), torch.cat(masks))


def encode_rows(
    encode: Callable[[TokenBatch], Encoded],
    side: "Side",
    rows: "Integers",
    *,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int], object] = lambda done: None,
) -> Encoded:
    """Return some texts of a side of `SideTokens` encoded, in the order given, on the device.

    Args:
        encode: a ranker's `encode_query` or `encode_document`
        side: the queries or documents that it reads
        rows: which of them
        batch_size: how many a forward pass
        device: where the ranker is
        progress: told how many are done
    """
    order = np.argsort(-side.lengths(rows), kind="stable")
    parts = []
    for at in range(0, len(order), batch_size):
        batch = on_device(batch_of(side.batch(rows[order[at : at + batch_size]])), device)
        assert isinstance(batch, TokenBatch)
        parts.append(encode(batch))
        progress(min(at + batch_size, len(order)))
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return Encoded.concatenated(parts).rows(torch.from_numpy(places).to(device))


def save_encoded(path: Path, encoded: Encoded, dtype: torch.dtype = torch.float16) -> None:
    """Write encoded texts to a safetensors file in float16 or float32, without padding.

    Raises UserError where a state is not finite in that dtype.
    """
    if dtype not in STORED:
        raise ValueError(f"encoded texts are stored in float16 or float32, not {dtype}")
    states = encoded.states if encoded.mask is None else encoded.states[encoded.mask]
    states = states.detach().to("cpu", dtype).contiguous()
    if not states.isfinite().all():
        raise UserError(f"{path}: an encoded text does not fit into {str(dtype).removeprefix('torch.')}")
    tensors = {"states": states}
    if encoded.mask is not None:
        tensors["lengths"] = encoded.mask.sum(1).cpu()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {HASH: _hash(tensors)})


def load_encoded(path: Path) -> Encoded:
    """Read encoded texts; raises UserError where the file holds none, or others than were written."""
    file = EncodedFile.open(path)
    with safe_open(path, framework="pt") as opened:
        told = (opened.metadata() or {}).get(HASH)
    if told is not None and told != _hash(load_file(path)):
        raise UserError(f"{path} is damaged: its vectors are not those that were written")
    return file.rows(torch.arange(len(file)))


def _hash(tensors: Mapping[str, Tensor]) -> str:
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


@dataclass(frozen=True)
class EncodedFile:
    """Encoded texts on disk, mapped into memory: those that are asked for are read, and padded to their longest.

    `states` are `[N, d]`, or `[T, d]` of all texts one after the other, text i being rows starts[i]:starts[i+1].
    """

    states: Tensor
    starts: Tensor | None = None

    @classmethod
    def open(cls, path: Path) -> "EncodedFile":
        """Map a file of `save_encoded`; raises UserError where it holds no encoded texts."""
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read as encoded texts: {error}") from None
        states, lengths = tensors.get("states"), tensors.get("lengths")
        if states is None or (lengths is not None and int(lengths.sum()) != len(states)):
            raise UserError(f"{path} holds no encoded texts: `states`, and `lengths` that add up to them, are expected")
        return cls(states, None if lengths is None else F.pad(lengths.cumsum(0), (1, 0)))

    def __len__(self) -> int:
        return len(self.states) if self.starts is None else len(self.starts) - 1

    def rows(self, index: Tensor) -> Encoded:
        """Return some of the texts, in the order given."""
        if self.starts is None:
            return Encoded(self.states[index])
        first, lengths = self.starts[index], self.lengths(index)
        spots = torch.arange(int(lengths.max()) if len(lengths) else 0)
        mask = spots < lengths[:, None]
        states = self.states.new_zeros(*mask.shape, self.states.shape[1])
        states[mask] = self.states[(first[:, None] + spots)[mask]]
        return Encoded(states, mask)

    def lengths(self, index: Tensor) -> Tensor:
        """Return how many vectors some of the texts have."""
        if self.starts is None:
            return torch.ones_like(index)
        return self.starts[index + 1] - self.starts[index]


def wide(states: Tensor) -> Tensor:
    """Return states in float32 where they have fewer bits, for sums over many products."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states

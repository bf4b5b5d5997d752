"""Padded batches of tokenised texts, pairs in one sequence or queries and documents apart, and moving them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class TokenBatch:
    """Token ids, the attention mask (1 for tokens, 0 for padding) and the token types, each of shape `[B, L]`.

    `scored` is 1 for the tokens whose vectors take part in a score, where they are not those that are attended to:
    ColBERT scores MASKs that nothing attends to, and encodes punctuation that it does not score.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None = None
    scored: Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def padded_left(self) -> "TokenBatch":
        """Return the same texts with their padding before them."""
        width = self.input_ids.shape[1]
        shift = width - self.attention_mask.sum(1, keepdim=True)
        spots = (torch.arange(width, device=shift.device) - shift) % width
        types = None if self.token_type_ids is None else self.token_type_ids.gather(1, spots)
        return TokenBatch(self.input_ids.gather(1, spots), self.attention_mask.gather(1, spots), types)

    @property
    def score_mask(self) -> Tensor:
        """True for the tokens that take part in a score, shape `[B, L]`."""
        return (self.attention_mask if self.scored is None else self.scored).bool()


@dataclass(frozen=True)
class SideBatch:
    """Queries and documents of `B` pairs, tokenised apart: a document per pair, and a query per pair.

    Where queries repeat, `query_index` of shape `[B]` gives the row of each pair's query, which is then encoded once.
    """

    query: TokenBatch
    document: TokenBatch
    query_index: Tensor | None = None

    def __len__(self) -> int:
        return len(self.document)

    @property
    def groups(self) -> list[tuple[TokenBatch, Tensor | None]]:
        """The documents, with the rows of their queries."""
        return [(self.document, self.query_index)]


@dataclass(frozen=True)
class GroupedSides:
    """Queries, and documents in groups of like length: every query is encoded once, and hardly any document padded.

    The pairs are those of the first group, then those of the second, and so on; `query_indexes` give the rows of their
    queries, group by group.
    """

    query: TokenBatch
    documents: tuple[TokenBatch, ...]
    query_indexes: tuple[Tensor, ...]

    def __len__(self) -> int:
        return sum(len(documents) for documents in self.documents)

    @property
    def groups(self) -> list[tuple[TokenBatch, Tensor]]:
        """The documents of each group, with the rows of their queries."""
        return list(zip(self.documents, self.query_indexes, strict=True))


Sides = SideBatch | GroupedSides
Batch = TokenBatch | Sides


def batch_of(columns: Mapping[str, Any]) -> Batch:
    """Return the batch that `PairTokens.batch`, `SideTokens.batch` or `.grouped` describes in numpy arrays."""
    if "documents" in columns:
        return GroupedSides(
            cast(TokenBatch, batch_of(columns["query"])),
            tuple(cast(TokenBatch, batch_of(documents)) for documents in columns["documents"]),
            tuple(torch.from_numpy(index) for index in columns["query_indexes"]),
        )
    if "document" not in columns:
        return TokenBatch(**{name: torch.from_numpy(column) for name, column in columns.items()})
    index = columns.get("query_index")
    return SideBatch(
        cast(TokenBatch, batch_of(columns["query"])),
        cast(TokenBatch, batch_of(columns["document"])),
        None if index is None else torch.from_numpy(index),
    )


def on_device(batch: T, device: torch.device | str) -> T:
    """Return a batch on a device; a GPU copies pinned memory while this thread goes on."""
    asynchronous = torch.device(device).type == "cuda"
    return _changed(batch, lambda tensor: tensor.to(device, non_blocking=asynchronous))


def pinned(batch: T) -> T:
    """Return a batch in pinned memory, which a GPU copies while the processor goes on."""
    return _changed(batch, Tensor.pin_memory)


def _changed(part: T, change: Callable[[Tensor], Tensor]) -> T:
    """Return a dataclass, or a part of one, with all of its tensors changed, those in tuples too."""
    found: Any = part
    if isinstance(found, Tensor):
        found = change(found)
    elif isinstance(found, tuple):
        found = tuple(_changed(one, change) for one in found)
    elif is_dataclass(found) and not isinstance(found, type):
        found = replace(found, **{one.name: _changed(getattr(found, one.name), change) for one in fields(found)})
    return cast(T, found)

"""What the rankers have in common that read queries and documents apart."""

from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from distilkit.models.batch import Sides, TokenBatch
from distilkit.models.cat import BertCat
from distilkit.models.encoded import Encoded
from distilkit.models.sizes import EncoderSizes


class SideRanker(EncoderSizes, nn.Module):
    """A ranker that encodes queries and documents apart, and scores what it encoded.

    `forward` is the one entry of training, so that distributed training can wrap the module.
    """

    inputs: ClassVar[Literal["sides"]] = "sides"
    architecture: ClassVar[str]
    encoder: Any
    options: Any

    @property
    def config(self) -> PretrainedConfig:
        """The encoder's configuration."""
        return cast(PretrainedConfig, self.encoder.config)

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return queries as vectors."""
        raise NotImplementedError

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return documents as vectors, which need no query and can be kept."""
        raise NotImplementedError

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the raw score of each query with the document of the same row, shape `[B]`: higher is better."""
        raise NotImplementedError

    def encode_document_beside(self, batch: TokenBatch, queries: TokenBatch) -> Encoded:
        """Return documents as vectors, where a ranker's depend on how long the queries of their batch are."""
        return self.encode_document(batch)

    def score(self, batch: Sides) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        return cast(Tensor, self(batch))

    def forward(self, batch: Sides) -> Tensor:
        """Return the scores; each query of the batch is encoded once."""
        queries = self.encode_query(batch.query)
        scores = []
        for documents, index in batch.groups:
            own = queries if index is None else queries.rows(index)
            scores.append(self.score_encoded(own, self.encode_document_beside(documents, batch.query)))
        return torch.cat(scores) if len(scores) > 1 else scores[0]


Ranker = BertCat | SideRanker


def wide(states: Tensor) -> Tensor:
    """Return states in float32 where they have fewer bits, for sums over many products."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states

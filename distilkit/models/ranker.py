"""What the rankers have in common that read queries and documents apart."""

from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from distilkit.models.batch import SideBatch, TokenBatch
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

    def score(self, batch: SideBatch) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        return cast(Tensor, self(batch))

    def forward(self, batch: SideBatch) -> Tensor:
        """Return the scores; each query of the batch is encoded once."""
        queries = self.encode_query(batch.query)
        if batch.query_index is not None:
            queries = queries.rows(batch.query_index)
        return self.score_encoded(queries, self.encode_document(batch.document))


Ranker = BertCat | SideRanker


def wide(states: Tensor) -> Tensor:
    """Return states in float32 where they have fewer bits, for sums over many products."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states

"""BERT_DOT: query and document as one vector each, scored by their dot product."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import first_states
from distilkit.models.first_token import able_to_read_first_token
from distilkit.models.options import DotOptions
from distilkit.models.ranker import SideRanker, wide


class BertDot(SideRanker):
    """A bi-encoder: score = q · d with q and d the first states of one shared encoder, times W_s where it has one.

    Hofstätter et al. 2020, equations 2 and 3: https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "bert_dot"

    def __init__(self, encoder: PreTrainedModel, options: DotOptions) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options
        able_to_read_first_token(encoder)
        self.compressor = None if options.dim is None else nn.Linear(self.hidden_size, options.dim)

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a vector per query, shape `[B, d]`."""
        first = first_states(self.encoder, batch)
        return Encoded(first if self.compressor is None else self.compressor(first))

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return a vector per document, shape `[B, d]`."""
        return self.encode_query(batch)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the dot product of each row, shape `[B]`."""
        return (wide(queries.states) * wide(documents.states)).sum(-1)

    def score_all(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the dot products of every query with every document, shape `[Q, D]`."""
        with torch.autocast(queries.states.device.type, enabled=False):
            return wide(queries.states) @ wide(documents.states).T

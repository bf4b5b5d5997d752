"""ColBERT: a vector per token, scored by the sum over the query of each token's best match in the document."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import last_states
from distilkit.models.options import ColBertOptions
from distilkit.models.ranker import SideRanker, wide

# How many products of query and document vectors `score_all` holds at a time.
PRODUCTS = 1 << 25


class ColBert(SideRanker):
    """A late-interaction ranker: score = sum over query tokens i of the maximum over document tokens j of q_i · d_j.

    The vectors are the last states times W_s, of length one where the options say so.

    Khattab and Zaharia 2020: https://arxiv.org/abs/2004.12832; Hofstätter et al. 2020, equations 4 and 5:
    https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "colbert"

    def __init__(self, encoder: PreTrainedModel, options: ColBertOptions) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options
        self.compressor = nn.Linear(self.hidden_size, options.dim or self.hidden_size, bias=bool(options.bias))

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a vector per token, shape `[B, L, d]`."""
        vectors = self.compressor(last_states(self.encoder, batch))
        if self.options.normalise:
            vectors = F.normalize(wide(vectors), dim=-1)
        return Encoded(vectors, batch.score_mask)

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return a vector per token, shape `[B, L, d]`."""
        return self.encode_query(batch)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the score of each row, shape `[B]`."""
        with _float32(queries):
            products = torch.bmm(wide(queries.states), wide(documents.states).transpose(1, 2))
        return max_sim(products, queries.mask, documents.mask)

    def score_all(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the scores of every query with every document, shape `[Q, D]`."""
        width = max(1, len(queries) * queries.states.shape[1] * documents.states.shape[1])
        block = max(1, PRODUCTS // width)
        starts = range(0, len(documents), block)
        return torch.cat([self._score_block(queries, documents.rows(slice(at, at + block))) for at in starts], dim=1)

    def _score_block(self, queries: Encoded, documents: Encoded) -> Tensor:
        with _float32(queries):
            products = torch.einsum("qid,njd->qnij", wide(queries.states), wide(documents.states))
        query_mask = None if queries.mask is None else queries.mask[:, None]
        return max_sim(products, query_mask, documents.mask)


def max_sim(products: Tensor, queries: Tensor | None, documents: Tensor | None) -> Tensor:
    """Return the sum over query tokens of their greatest product with a document token.

    Args:
        products: `[..., Lq, Ld]`
        queries: true for the query tokens that count, `[..., Lq]`
        documents: true for the document tokens that count, `[..., Ld]`; a document without any scores 0
    """
    if documents is not None:
        products = products.masked_fill(~documents.unsqueeze(-2), -torch.inf)
    best = products.amax(-1)
    best = best.masked_fill(best == -torch.inf, 0.0)
    return (best if queries is None else best.masked_fill(~queries, 0.0)).sum(-1)


def _float32(encoded: Encoded) -> torch.autocast:
    return torch.autocast(encoded.states.device.type, enabled=False)

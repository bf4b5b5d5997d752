"""TK: word embeddings contextualised by a shallow transformer, and matched by kernel pooling."""

import math
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from distilkit.errors import UserError
from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.kernels import KernelPooling
from distilkit.models.options import TkOptions
from distilkit.models.ranker import SideRanker

PAPER_HEADS = 10


class Tk(SideRanker):
    """A kernel-pooling ranker on states h = alpha · e + (1 - alpha) · Transformer(e + positions), alpha learned.

    Hofstätter et al. 2020, Interpretable & Time-Budget-Constrained Contextualization for Re-Ranking:
    https://arxiv.org/abs/2002.01854; and equations 8 to 10 of https://arxiv.org/abs/2010.02666

    Args:
        embeddings: the word embeddings, `[vocabulary, e]`
        options: TK's options; states of another size than e are a linear map of the embeddings
        dropout: the contextualiser's dropout probability, 0 in the released code
        pad_token_id: the row of the padding, which is never trained
    """

    architecture: ClassVar[str] = "tk"

    def __init__(
        self, embeddings: Tensor, options: TkOptions, dropout: float = 0.0, pad_token_id: int | None = None
    ) -> None:
        super().__init__()
        vocabulary, width = embeddings.shape
        dim = options.dim or width
        heads = _heads(dim) if options.heads is None else options.heads
        if dim % heads:
            raise UserError(f"tk: heads = {heads} does not divide the states of {dim} dimensions")
        self.options = replace(options, dim=dim, heads=heads)
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=pad_token_id, _weight=embeddings)
        self.projection = None if dim == width else nn.Linear(width, dim, bias=False)
        layer = nn.TransformerEncoderLayer(dim, heads, options.feed_forward, dropout, batch_first=True)
        # Nested tensors would cut the output to the longest text of the batch.
        self.contextualizer = nn.TransformerEncoder(layer, options.layers, enable_nested_tensor=False)
        for parameter in self.contextualizer.parameters():
            # The layers are copies of one another as torch makes them.
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.mixer = nn.Parameter(torch.full((1, 1, 1), 0.5)) if options.mix else None
        self.kernels = KernelPooling(options.kernel_scale)
        self._config = PretrainedConfig(
            vocab_size=vocabulary,
            embedding_size=width,
            hidden_size=dim,
            num_hidden_layers=options.layers,
            num_attention_heads=heads,
            intermediate_size=options.feed_forward,
            dropout=dropout,
            pad_token_id=pad_token_id,
        )

    @property
    def config(self) -> PretrainedConfig:
        """The sizes, under the names that transformers' configurations have for them."""
        return self._config

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a query's states, shape `[B, L, d]`."""
        return self._encode(batch, 0)

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return a document's states, shape `[B, L, d]`."""
        return self._encode(batch, self.options.document_position)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the score of each row, shape `[B]`."""
        assert queries.mask is not None
        assert documents.mask is not None
        scores: Tensor = self.kernels(queries.states, documents.states, queries.mask, documents.mask)
        return scores

    def _encode(self, batch: TokenBatch, start: int) -> Encoded:
        embedded = self.word_embeddings(batch.input_ids)
        if self.projection is not None:
            embedded = self.projection(embedded)
        mask = batch.attention_mask.bool()
        return Encoded(self.contextualise(embedded, mask, start), mask)

    def contextualise(self, embedded: Tensor, mask: Tensor, start: int) -> Tensor:
        """Return the states of embeddings `[B, L, d]` whose first position is `start`."""
        positions = sinusoids(start, embedded.shape[1], embedded.shape[2], embedded.device).to(embedded.dtype)
        # The softmax over no key at all is not a number, so a text without tokens sees its padding.
        hidden = ~mask & mask.any(1, keepdim=True)
        context: Tensor = self.contextualizer(embedded + positions, src_key_padding_mask=hidden)
        return context if self.mixer is None else self.mixer * embedded + (1 - self.mixer) * context


def sinusoids(start: int, length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Return the sines and then the cosines of positions from `start` on, shape `[length, dim]`, in float32."""
    timescales = dim // 2
    rates = torch.exp(torch.arange(timescales, device=device).float() * -(math.log(1e4) / max(timescales - 1, 1)))
    angles = torch.arange(start, start + length, device=device).float()[:, None] * rates[None]
    encoded = torch.cat([angles.sin(), angles.cos()], dim=1)
    return nn.functional.pad(encoded, (0, dim - 2 * timescales))


def _heads(dim: int) -> int:
    return max(heads for heads in range(1, PAPER_HEADS + 1) if dim % heads == 0)

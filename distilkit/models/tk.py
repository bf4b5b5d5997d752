"""TK: word embeddings contextualised by a shallow transformer, and matched by kernel pooling."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import SideFormat
from distilkit.errors import UserError
from distilkit.files import expanded, sha256_once
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import ENTRY, Checkpoint
from distilkit.models.encoded import Encoded, wide
from distilkit.models.load import load_ranker, load_weights
from distilkit.models.macs import SideMacs
from distilkit.models.options import OffsetOptions, Options
from distilkit.models.ranker import SideRanker
from distilkit.models.references import local_folder
from distilkit.models.shape import Shape
from distilkit.models.vocabulary import cut_table, renumber
from distilkit.models.words import glove_table, random_table, scaled_table

if TYPE_CHECKING:
    from distilkit.models.initialise import Origin

# The paper's attention heads and the size of its word embeddings.
PAPER_HEADS, PAPER_SIZE = 10, 300
MU = (1.0, 0.9, 0.7, 0.5, 0.3, 0.1, -0.1, -0.3, -0.5, -0.7, -0.9)
SIGMA = 0.1
TINY = 1e-13


@dataclass(frozen=True)
class TkOptions(OffsetOptions):
    """TK's options.

    Attributes:
        embeddings: where the word embeddings come from: `source`, the source encoder's; `random`; or the path of a
            text file in GloVe's format
        vocabulary: `wordpiece`, the source's tokenizer, or `word`, lower-cased words
        dim: the size of a state, by default that of the embeddings; others are mapped to it
        layers: how many layers contextualise
        heads: their attention heads; by default the paper's 10, or the next smaller number that divides the states
        feed_forward: the size of their feed-forward layers
        mix: whether a state is a learned mix of embedding and context (equation 8)
        kernel_scale: whether each kernel's sum has a learned factor, as in the released code
        document_position: the position of a document's first token, 500 in the released code
    """

    embeddings: str = "source"
    vocabulary: Literal["wordpiece", "word"] = "wordpiece"
    dim: int | None = None
    layers: int = 2
    heads: int | None = None
    feed_forward: int = 300
    mix: bool = True
    kernel_scale: bool = False
    document_position: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("dim", "layers", "heads", "feed_forward")
        self._require_one_of("vocabulary", ("wordpiece", "word"))
        if not isinstance(self.embeddings, str):
            raise UserError(f"embeddings is 'source', 'random' or the path of a file, not {self.embeddings!r}")
        if self.vocabulary == "word" and self.embeddings == "source":
            raise UserError(
                "tk: a vocabulary of words has no embeddings in the source: embeddings is 'random' or a GloVe file"
            )
        self._require_from_zero("document_position", "a position")
        self._require_truth("mix", "kernel_scale")

    @property
    def text_format(self) -> SideFormat:
        """How queries and documents are tokenised."""
        return SideFormat(specials=False)

    def identity(self) -> dict[str, Any]:
        """Return the options as artifact keys hold them: a file of word embeddings is told by its sha256."""
        if self.embeddings in ("source", "random"):
            return super().identity()
        path = expanded(self.embeddings)
        if not path.is_file():
            raise UserError(
                f"[student] options.embeddings = {self.embeddings!r}: there is no such file of word embeddings"
            )
        return {**super().identity(), "embeddings": sha256_once(path)}


class KernelPooling(nn.Module):
    """Score = sum_k w_k · sum_i ln(sum_j exp(-(cos(q_i, d_j) - mu_k)² / 2 sigma²)), in float32 at least.

    Xiong et al. 2017 (K-NRM), and Hofstätter et al. 2020, equations 9 and 10: https://arxiv.org/abs/2010.02666

    With `scaled`, each kernel's inner sum is multiplied by a learned factor, as in the released code. Mu and sigma are
    kept in float32 whatever the module's dtype was made of, as there.
    """

    mu: Tensor
    sigma: Tensor

    def __init__(self, scaled: bool = False) -> None:
        super().__init__()
        self.register_buffer("mu", torch.tensor(MU), persistent=False)
        self.register_buffer("sigma", torch.tensor(SIGMA), persistent=False)
        self.kernel_bin_weights = nn.Linear(len(MU), 1, bias=False)
        nn.init.uniform_(self.kernel_bin_weights.weight, -0.014, 0.014)
        self.kernel_alpha_scaler = nn.Parameter(torch.ones(1, 1, len(MU))) if scaled else None

    def forward(self, queries: Tensor, documents: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """Return a score per row: vectors `[B, Lq, d]` and `[B, Ld, d]` with their masks, to `[B]`."""
        with torch.autocast(queries.device.type, enabled=False):
            weights = wide(self.kernel_bin_weights.weight)
            return (self.per_kernel(wide(queries), wide(documents), query_mask, document_mask) * weights).sum(-1)

    def per_kernel(self, queries: Tensor, documents: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """Return sum_i ln(sum_j K_ij) of each kernel, shape `[B, kernels]`."""
        cosines = torch.bmm(_unit(queries), _unit(documents).transpose(1, 2)).unsqueeze(-1)
        kernels = torch.exp(-((cosines - self.mu) ** 2) / (2 * self.sigma**2))
        counts: Tensor = (kernels * document_mask[:, None, :, None]).sum(2)
        if self.kernel_alpha_scaler is not None:
            counts = counts * self.kernel_alpha_scaler
        return (counts.clamp(min=1e-10).log() * query_mask[:, :, None]).sum(1)


def _unit(vectors: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / (lengths + TINY)


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
    options_type = TkOptions
    tags = ("tk",)

    options: TkOptions
    encoder = None

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

    def keep_rows(self, rows: Integers) -> None:
        """Keep some rows of its own word embeddings."""
        self.word_embeddings = cut_table(self.word_embeddings, rows)
        renumber(self.config, rows)

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
        return scores + self.options.offset

    def _encode(self, batch: TokenBatch, start: int) -> Encoded:
        embedded = self.word_embeddings(batch.input_ids)
        if self.projection is not None:
            embedded = self.projection(embedded)
        mask = batch.attention_mask.bool()
        return Encoded(self.contextualise(embedded, mask, start), mask)

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return layers and linear map of either side, and a cosine and its kernels for each pair of tokens."""
        width = 0 if self.projection is None else self.config.embedding_size
        mapped = width * self.hidden_size
        query, document = (self.macs(length) + length * mapped for length in (query_length, document_length))
        return SideMacs(query, document, query_length * document_length * (self.hidden_size + len(MU)))

    def macs_without_product(self, query_length: int, document_length: int) -> int:
        """Return the kernels."""
        return len(MU) * query_length * document_length

    @property
    def interaction(self) -> str:
        """A cosine for each pair of tokens, and kernels."""
        return "m * n dot products and kernel pooling"

    @classmethod
    def begin(cls, origin: "Origin", options: Options | None) -> Self:
        """Return a TK of drawn layers on the word embeddings that its options name, or the checkpoint it starts from.

        A shape stands for the options' layers and size.
        """
        shape, dropout, tokenizer = origin.shape, origin.dropout, origin.tokenizer
        if origin.is_checkpoint:
            student = cast(Self, load_ranker(local_folder(origin.start), cls.architecture, dropout=dropout))
            if shape is not None and Shape.of(student.config) != shape:
                found = Shape.of(student.config)
                raise UserError(f"the student is to have the shape {shape}, but {origin.start} has {found}")
            return student
        chosen = cast(TkOptions, options or TkOptions())
        if origin.embeddings != "drawn":
            raise UserError(
                f"[student] embeddings = {origin.embeddings!r}: where a tk's embeddings come from is said by "
                "[student.options.tk] embeddings; expected no other"
            )
        if shape is not None:
            chosen = replace(chosen, layers=shape.layers, dim=shape.hidden)
        pad = None if tokenizer is None else tokenizer.pad_token_id
        if chosen.embeddings == "source":
            if isinstance(origin.source, Tk):
                return cls(origin.source.word_embeddings.weight.detach().clone(), chosen, dropout or 0.0, pad)
            encoder = origin.source_encoder()
            table = scaled_table(encoder.get_input_embeddings().weight)
            return cls(table, chosen, dropout or 0.0, encoder.config.pad_token_id)
        if tokenizer is None:
            raise ValueError("a tk whose embeddings are not its source's is made for a tokenizer")
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        if chosen.embeddings == "random":
            table = random_table(max(vocabulary.values()) + 1, chosen.dim or PAPER_SIZE)
        else:
            table = glove_table(expanded(chosen.embeddings), vocabulary)
        return cls(table, chosen, dropout or 0.0, pad)

    @classmethod
    def load(cls, checkpoint: Checkpoint, options: Options | None, dropout: float | None, dtype: torch.dtype) -> Self:
        """Return the TK in a folder of ours; raises UserError for any other."""
        values = checkpoint.config
        missing = [name for name in (ENTRY, "vocab_size", "embedding_size") if name not in values]
        if missing:
            raise UserError(f"{checkpoint.folder / 'config.json'} is not that of a tk: it has no {missing[0]}")
        table = torch.zeros(values["vocab_size"], values["embedding_size"])
        dropout = values.get("dropout", 0.0) if dropout is None else dropout
        ranker = cls(table, cast(TkOptions, options), dropout, values.get("pad_token_id"))
        load_weights(ranker.to(dtype), checkpoint.weights(dtype), checkpoint.folder)
        return ranker

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

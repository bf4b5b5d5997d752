"""BERT_DOT: query and document as one vector each, scored by their dot product."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from distilkit.data.side_tokens import SideFormat
from distilkit.errors import UserError
from distilkit.files import write_json
from distilkit.models.agree import reads_ahead
from distilkit.models.attention import able_to_read_first_token
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.encoded import Encoded, wide
from distilkit.models.encoder import first_states, last_states
from distilkit.models.layers import FAMILIES
from distilkit.models.macs import SideMacs
from distilkit.models.options import OffsetOptions, said_offset
from distilkit.models.ranker import EncoderRanker
from distilkit.models.save import write_config, write_dense, write_modules, write_weights

POOLING_MODES = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "last": "lasttoken"}
POOLING_MODES |= {mode: mode for mode in ("mean_sqrt_len_tokens", "weightedmean_tokens")}
Pooling = Literal["cls", "mean", "last"]


@dataclass(frozen=True)
class DotOptions(OffsetOptions):
    """BERT_DOT's options.

    Attributes:
        dim: the size of a vector, made by a linear map of the encoder's; by default there is no map, as in the
            published checkpoints (the paper's equation 2 has one)
        pooling: what of the last states is the vector: the first (`cls`, the paper's), their `mean` (E5, GTE), or the
            `last` (decoders)
        normalise: whether vectors have length one, so that scores are cosines (E5, BGE)
        scale: what the scores are multiplied with while it is trained, 20 to 100 for cosines; it changes no ranking
    """

    dim: int | None = None
    pooling: Pooling = "cls"
    normalise: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("dim")
        self._require_one_of("pooling", ("cls", "mean", "last"))
        self._require_truth("normalise")
        if isinstance(self.scale, bool) or not isinstance(self.scale, int | float) or not 0 < self.scale < math.inf:
            raise UserError(f"scale is a positive number, not {self.scale!r}")


class BertDot(EncoderRanker):
    """A bi-encoder: score = q · d with q and d the first states of one shared encoder, times W_s where it has one.

    The options can make it the mean of the states, of length one.

    Hofstätter et al. 2020, equations 2 and 3: https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "bert_dot"
    options_type = DotOptions
    library = "sentence-transformers"
    tags = ("sentence-transformers", "bi-encoder")
    targets: ClassVar[Mapping[str, str]] = {
        "sentence-transformers": "sentence_transformers.SentenceTransformer({folder!r})",
        "transformers": "transformers.AutoModel.from_pretrained({folder!r})",
    }
    published = tuple(
        f"sebastian-hofstaetter/distilbert-dot-{name}-msmarco" for name in ("margin_mse-T2", "tas_b-b256")
    )

    graph_output = "sentence_embedding"

    options: DotOptions

    def __init__(self, encoder: PreTrainedModel, options: DotOptions) -> None:
        super().__init__(encoder, options)
        if options.pooling == "cls" and encoder.config.model_type not in FAMILIES and not reads_ahead(encoder):
            raise UserError(
                f"a {encoder.config.model_type} is a decoder, whose first state does not see the words after it: set "
                '[student.options.bert_dot] pooling = "last" or "mean"'
            )
        able_to_read_first_token(encoder)
        self.compressor = None if options.dim is None else nn.Linear(self.hidden_size, options.dim)

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a vector per query, shape `[B, d]`."""
        return Encoded(self.graph(batch))

    def graph(self, batch: TokenBatch) -> Tensor:
        """Return a vector per text, shape `[B, d]`."""
        vectors = self._pooled(batch)
        vectors = vectors if self.compressor is None else self.compressor(vectors)
        return F.normalize(wide(vectors), dim=-1) if self.options.normalise else vectors

    def _pooled(self, batch: TokenBatch) -> Tensor:
        """Return what the options make of the last states, shape `[B, H]`."""
        if self.options.pooling == "cls":
            return first_states(self.encoder, batch)
        states, mask = last_states(self.encoder, batch), batch.attention_mask
        if self.options.pooling == "last":
            spots = mask.sum(1).clamp(min=1) - 1
            return states.gather(1, spots[:, None, None].expand(-1, 1, states.shape[-1]))[:, 0]
        total = (wide(states) * mask.unsqueeze(-1)).sum(1)
        return (total / mask.sum(1, keepdim=True).clamp(min=1)).to(states.dtype)

    def in_training(self, scores: Tensor) -> Tensor:
        """Return the scores times the options' scale."""
        return scores if self.options.scale == 1 else scores * self.options.scale

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return a vector per document, shape `[B, d]`."""
        return self.encode_query(batch)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the dot product of each row, shape `[B]`."""
        return (wide(queries.states) * wide(documents.states)).sum(-1) + self.options.offset

    def score_all(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the dot products of every query with every document, shape `[Q, D]`."""
        with torch.autocast(queries.states.device.type, enabled=False):
            return wide(queries.states) @ wide(documents.states).T + self.options.offset

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return encoder and linear map of either side, and the numbers of a vector for the dot product."""
        mapped = self.hidden_size * (self.options.dim or 0)
        query, document = (self.macs(length) + mapped for length in (query_length, document_length))
        return SideMacs(query, document, self.vector_size)

    def macs_without_product(self, query_length: int, document_length: int) -> int:
        """Return the dot product, which is computed row by row."""
        return self.vector_size

    @property
    def interaction(self) -> str:
        """One dot product."""
        return "one dot product"

    @property
    def storage_unit(self) -> str:
        """A vector a passage."""
        return "|P|"

    @property
    def exports(self) -> Mapping[str, str]:
        """In transformers nothing maps, averages or normalises."""
        plain = replace(self.options, scale=1.0, offset=0.0) == DotOptions() and not any(self.prefixes)
        return {name: loads for name, loads in self.targets.items() if name != "transformers" or plain}

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether sentence-transformers makes one vector of each text with a folder."""
        return checkpoint.declared.is_dot

    @classmethod
    def holds_encoder(cls, checkpoint: Checkpoint) -> bool:
        """Its encoder lies under its bare names, whatever is made of the states."""
        return False

    @classmethod
    def declared_options(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return what pooling, map, normalisation and similarity in the modules come to."""
        declared = checkpoint.declared
        return {**declared.dot_options(), "dim": checkpoint.linear_size} if declared.is_dot else {}

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> DotOptions:
        """Return what the modules come to; a bare encoder's are the first states, as the Margin-MSE paper's."""
        return DotOptions(**{"dim": checkpoint.linear_size, **cls.declared_options(checkpoint)})

    @classmethod
    def _declared_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        if not checkpoint.declared.is_dot:
            return {}
        found = checkpoint.declared.lengths(SideFormat.length_keys)
        return {key: found.get(key) or checkpoint.own_length for key in SideFormat.length_keys}

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write a model that SentenceTransformer loads and scores alike."""
        options = self.options
        write_config(self.config, folder, type(self.encoder).__name__)
        write_weights(self.encoder.state_dict(), folder)
        modules = ["Transformer", "Pooling"]
        values = {f"pooling_mode_{mode}": name == options.pooling for name, mode in POOLING_MODES.items()}
        (folder / "1_Pooling").mkdir()
        write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": self.hidden_size, **values})
        if self.compressor is not None:
            modules.append("Dense")
            write_dense(self.compressor, folder / "2_Dense")
        if options.normalise:
            modules.append("Normalize")
            (folder / f"{len(modules) - 1}_Normalize").mkdir()
        write_modules(modules, folder, lengths)
        prompts = {"prompts": self.prefixes.prompts(), "default_prompt_name": None}
        kind = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
        write_json(folder / "config_sentence_transformers.json", {**kind, **prompts})

    @property
    def loads_in(self) -> str:
        """The card's sentence about libraries that load it."""
        library = "sentence-transformers from version 6 (`SentenceTransformer`, dot product)"
        return f"It loads in {library}.{said_offset(self.options)}"

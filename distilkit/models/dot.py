"""BERT_DOT: query and document as one vector each, scored by their dot product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distilkit.errors import UserError
from distilkit.files import write_json
from distilkit.models.attention import able_to_read_first_token
from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import first_states
from distilkit.models.load import Checkpoint
from distilkit.models.macs import SideMacs
from distilkit.models.options import Options
from distilkit.models.ranker import EncoderRanker, wide
from distilkit.models.save import write_config, write_dense, write_modules, write_weights

POOLING_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")


@dataclass(frozen=True)
class DotOptions(Options):
    """BERT_DOT's options.

    Attributes:
        dim: the size of a vector, made by a linear map of the encoder's; by default there is no map, as in the
            published checkpoints (the paper's equation 2 has one)
    """

    dim: int | None = None

    def __post_init__(self) -> None:
        self._require_positive("dim")


class BertDot(EncoderRanker):
    """A bi-encoder: score = q · d with q and d the first states of one shared encoder, times W_s where it has one.

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

    def __init__(self, encoder: PreTrainedModel, options: DotOptions) -> None:
        super().__init__(encoder, options)
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
        """In transformers nothing applies the linear map."""
        return {name: loads for name, loads in self.targets.items() if name != "transformers" or not self.options.dim}

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether sentence-transformers would take the first states of a folder's encoder as they are."""
        return checkpoint.pooling == "cls"

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> DotOptions:
        """Return the size of the linear map that the folder holds; raises UserError for vectors of another kind."""
        if checkpoint.pooling not in (None, "cls"):
            raise UserError(
                f"{checkpoint.folder} has {checkpoint.pooling} vectors: a bert_dot's are the first states as they are"
            )
        return DotOptions(checkpoint.linear_size)

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write a model that SentenceTransformer loads and scores alike."""
        write_config(self.config, folder, type(self.encoder).__name__)
        write_weights(self.encoder.state_dict(), folder)
        modules = ["Transformer", "Pooling"]
        values = {f"pooling_mode_{mode}": mode == "cls_token" for mode in POOLING_MODES}
        (folder / "1_Pooling").mkdir()
        write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": self.hidden_size, **values})
        if self.compressor is not None:
            modules.append("Dense")
            write_dense(self.compressor, folder / "2_Dense")
        write_modules(modules, folder, lengths["document_length"])
        prompts = {"prompts": {"query": "", "document": ""}, "default_prompt_name": None}
        kind = {"model_type": "SentenceTransformer", "similarity_fn_name": "dot"}
        write_json(folder / "config_sentence_transformers.json", {**kind, **prompts})

    @property
    def loads_in(self) -> str:
        """The card's sentence about libraries that load it."""
        return (
            "It loads in sentence-transformers (`SentenceTransformer`, dot product), which cuts queries too to "
            "{document_length} tokens."
        )

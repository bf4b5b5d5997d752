"""ColBERT: a vector per token, scored by the sum over the query of each token's best match in the document."""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from distilkit.data.side_tokens import MARKERS, MaskPosition, SideFormat
from distilkit.files import write_json
from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import last_states
from distilkit.models.load import ENCODERS, Checkpoint
from distilkit.models.macs import SideMacs
from distilkit.models.options import Options
from distilkit.models.published import is_wrapped
from distilkit.models.ranker import EncoderRanker, wide
from distilkit.models.save import Card, write_config, write_dense, write_modules, write_weights

# How many products of query and document vectors `score_all` holds at a time.
PRODUCTS = 1 << 25
# The class that the configurations of Stanford's and PyLate's checkpoints name.
STANFORD_CLASS = "HF_ColBERT"


FORMS: dict[str, dict[str, Any]] = {
    "papers": {
        "dim": None,
        "bias": True,
        "query_masks": 8,
        "mask_position": "before_sep",
        "attend_to_masks": True,
        "markers": False,
        "normalise": False,
        "skip_punctuation": False,
    },
    "stanford": {
        "dim": 128,
        "bias": False,
        "query_masks": "fill",
        "mask_position": "after_sep",
        "attend_to_masks": False,
        "markers": True,
        "normalise": True,
        "skip_punctuation": True,
    },
}


@dataclass(frozen=True)
class ColBertOptions(Options):
    """ColBERT's options: the Margin-MSE paper's form, or that of Khattab and Zaharia's code; a field changes the form.

    Attributes:
        form: `papers` or `stanford`: where the fields below have their defaults from
        dim: the size of a token's vector (128 in `stanford`); None is the encoder's hidden size, as in `papers`
        bias: whether the linear map has a bias (`papers`)
        query_masks: how many MASKs a query gets beyond its length limit: 8 in `papers`; `fill`, up to it, in `stanford`
        mask_position: `before_sep` (how the paper's model was trained) or `after_sep` (how its card scores)
        attend_to_masks: whether tokens see the MASKs (`papers`)
        markers: whether [unused0] and [unused1] follow [CLS] (`stanford`)
        normalise: whether a token's vector has length one (`stanford`)
        skip_punctuation: whether a document's punctuation is read but not scored (`stanford`)
    """

    form: Literal["papers", "stanford"] = "papers"
    dim: int | None = None
    bias: bool | None = None
    query_masks: int | Literal["fill"] | None = None
    mask_position: MaskPosition | None = None
    attend_to_masks: bool | None = None
    markers: bool | None = None
    normalise: bool | None = None
    skip_punctuation: bool | None = None

    def __post_init__(self) -> None:
        self._require_one_of("form", FORMS)
        for name, value in FORMS[self.form].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        self._require_positive("dim")
        self._require_one_of("mask_position", ("before_sep", "after_sep"))
        self._require_from_zero("query_masks", "a number", "fill")
        self._require_truth("bias", "attend_to_masks", "markers", "normalise", "skip_punctuation")

    @property
    def text_format(self) -> SideFormat:
        """How queries and documents are tokenised."""
        names = ("query_masks", "mask_position", "attend_to_masks", "markers", "skip_punctuation")
        return SideFormat(**{name: getattr(self, name) for name in names})


class ColBert(EncoderRanker):
    """A late-interaction ranker: score = sum over query tokens i of the maximum over document tokens j of q_i · d_j.

    The vectors are the last states times W_s, of length one where the options say so.

    Khattab and Zaharia 2020: https://arxiv.org/abs/2004.12832; Hofstätter et al. 2020, equations 4 and 5:
    https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "colbert"
    options_type = ColBertOptions
    tags = ("ColBERT", "PyLate", "late-interaction")
    targets: ClassVar[Mapping[str, str]] = {"pylate": "pylate.models.ColBERT({folder!r})"}

    options: ColBertOptions

    def __init__(self, encoder: PreTrainedModel, options: ColBertOptions) -> None:
        super().__init__(encoder, options)
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

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return encoder and linear map of every token, and the products of all query with all document vectors."""
        mapped = self.hidden_size * self.vector_size
        query, document = (self.macs(length) + length * mapped for length in (query_length, document_length))
        return SideMacs(query, document, query_length * document_length * self.vector_size)

    @property
    def interaction(self) -> str:
        """A dot product for each pair of tokens."""
        return "m * n dot products"

    @property
    def exports(self) -> Mapping[str, str]:
        """PyLate scores as the Stanford form does, and has no other."""
        return self.targets if is_stanford(self.options) else {}

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether a folder holds the Margin-MSE paper's ColBERT, or one of Stanford's or PyLate's."""
        papers = is_wrapped(checkpoint) and "compressor.weight" in checkpoint.shapes
        return papers or checkpoint.model_class == STANFORD_CLASS

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> Options:
        """Return the Stanford form's options, or those of the Margin-MSE paper's card."""
        if checkpoint.model_class == STANFORD_CLASS:
            return ColBertOptions(form="stanford", dim=checkpoint.linear_size)
        if not cls.recognises(checkpoint):
            return super().published_options(checkpoint)
        bias = "compressor.bias" in checkpoint.shapes
        return ColBertOptions(dim=checkpoint.linear_size, bias=bias, mask_position="after_sep")

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write the weights under Stanford's names, and for the Stanford form a model that PyLate scores alike."""
        write_config(self.config, folder, STANFORD_CLASS)
        prefix = f"{self.encoder.base_model_prefix}."
        prefix = prefix if prefix in ENCODERS else ""
        encoder = {prefix + name: tensor for name, tensor in self.encoder.state_dict().items()}
        linear = {f"linear.{name}": tensor for name, tensor in self.compressor.state_dict().items()}
        write_weights({**encoder, **linear}, folder)
        if not is_stanford(self.options):
            return
        write_dense(self.compressor, folder / "1_Dense")
        write_modules(["Transformer", "Dense"], folder, lengths["document_length"])
        options = self.options
        pylate: dict[str, Any] = {
            "model_type": "ColBERT",
            "similarity_fn_name": "MaxSim",
            "query_prefix": MARKERS["query"],
            "document_prefix": MARKERS["document"],
            "attend_to_expansion_tokens": options.attend_to_masks,
            "do_query_expansion": True,
            "skiplist_words": list(string.punctuation) if options.skip_punctuation else [],
            "prompts": {},
            "default_prompt_name": None,
        }
        write_json(folder / "config_sentence_transformers.json", {**pylate, **lengths})
        stanford = {
            "query_token_id": MARKERS["query"],
            "doc_token_id": MARKERS["document"],
            "query_token": "[Q]",
            "doc_token": "[D]",
            "dim": self.compressor.out_features,
            "query_maxlen": lengths["query_length"],
            "doc_maxlen": lengths["document_length"],
            "mask_punctuation": options.skip_punctuation,
            "attend_to_mask_tokens": options.attend_to_masks,
            "similarity": "cosine",
        }
        write_json(folder / "artifact.metadata", stanford)

    def card(self, lengths: Mapping[str, int]) -> Card:
        """Return the card, for PyLate where that scores alike."""
        card = super().card(lengths)
        return card._replace(library="PyLate") if is_stanford(self.options) else card

    @property
    def loads_in(self) -> str:
        """The card's sentence about libraries that load it."""
        if not is_stanford(self.options):
            return super().loads_in
        return "It loads in PyLate (`ColBERT`) and in sentence-transformers (`MultiVectorEncoder`)."


def is_stanford(options: ColBertOptions) -> bool:
    """Tell whether PyLate scores as these options do: it always normalises, and fills queries with MASKs at the end."""
    filled = options.query_masks == "fill" and options.mask_position == "after_sep"
    return bool(options.normalise and options.markers and filled and not options.bias)


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

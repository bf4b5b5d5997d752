"""ColBERT: a vector per token, scored by the sum over the query of each token's best match in the document."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from distilkit.data.side_tokens import MaskPosition, SideFormat, markers_of, skipped_words
from distilkit.errors import UserError
from distilkit.files import read_json, write_json
from distilkit.model_card import Card
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.encoded import Encoded, wide
from distilkit.models.encoder import last_states
from distilkit.models.macs import SideMacs
from distilkit.models.options import OffsetOptions, Options, said_offset
from distilkit.models.published import is_wrapped
from distilkit.models.ranker import EncoderRanker
from distilkit.models.save import write_config, write_dense, write_modules, write_weights

# How many products of query and document vectors `score_all` holds at a time.
PRODUCTS = 1 << 25
# The class that the configurations of Stanford's and PyLate's checkpoints name, and the one of the papers' form, which
# those two would load without a word and score otherwise.
STANFORD_CLASS = "HF_ColBERT"
PAPERS_CLASS = "DistilkitColBERT"
NATIVE = "sentence_transformers.base.modules"


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
class ColBertOptions(OffsetOptions):
    """ColBERT's options: the form of Khattab and Zaharia's code, or the Margin-MSE paper's; a field changes the form.

    Attributes:
        form: `stanford`, which PyLate and sentence-transformers compute too, or `papers`, which they do not: where the
            fields below have their defaults from
        dim: the size of a token's vector (128 in `stanford`); None is the encoder's hidden size, as in `papers`
        bias: whether the linear map has a bias (`papers`)
        query_masks: how many MASKs a query gets beyond its length limit: 8 in `papers`; `fill`, up to it, in `stanford`
        mask_position: `before_sep` (how the paper's model was trained) or `after_sep` (how its card scores)
        attend_to_masks: whether tokens see the MASKs (`papers`)
        markers: whether [unused0] and [unused1] follow [CLS] in queries and documents (`stanford`), or the two tokens
            that do instead, such as ["[Q] ", "[D] "]
        normalise: whether a token's vector has length one (`stanford`)
        skip_punctuation: whether a document's punctuation is read but not scored (`stanford`), or the words of which
            that is true instead, such as [".", ","]
    """

    form: Literal["papers", "stanford"] = "stanford"
    dim: int | None = None
    bias: bool | None = None
    query_masks: int | Literal["fill"] | None = None
    mask_position: MaskPosition | None = None
    attend_to_masks: bool | None = None
    markers: bool | tuple[str, str] | None = None
    normalise: bool | None = None
    skip_punctuation: bool | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_of("form", FORMS)
        for name, value in FORMS[self.form].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if not isinstance(self.markers, bool | str) and self.markers is not None:
            object.__setattr__(self, "markers", tuple(self.markers))  # a list where it was read from a file
        if not isinstance(self.markers, bool) and [type(one) for one in self.markers or ()] != [str, str]:
            raise UserError(f"markers is true, false or two tokens, not {self.markers!r}")
        self._require_positive("dim")
        self._require_one_of("mask_position", ("before_sep", "after_sep"))
        self._require_from_zero("query_masks", "a number", "fill")
        self._require_truth("bias", "attend_to_masks", "normalise")
        skipped = self.skip_punctuation
        if not isinstance(skipped, bool):
            if not isinstance(skipped, list | tuple) or not all(isinstance(word, str) for word in skipped):
                raise UserError(f"skip_punctuation is true, false or a list of words, not {skipped!r}")
            object.__setattr__(self, "skip_punctuation", tuple(skipped) or False)

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
    targets: ClassVar[Mapping[str, str]] = {
        "pylate": "pylate.models.ColBERT({folder!r})",
        "sentence-transformers": "sentence_transformers.MultiVectorEncoder({folder!r})",
    }

    graph_output = "token_embeddings"
    graph_axes: ClassVar[Mapping[int, str]] = {0: "batch", 1: "length"}

    options: ColBertOptions

    def __init__(self, encoder: PreTrainedModel, options: ColBertOptions) -> None:
        super().__init__(encoder, options)
        self.compressor = nn.Linear(self.hidden_size, options.dim or self.hidden_size, bias=bool(options.bias))

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a vector per token, shape `[B, L, d]`."""
        return Encoded(self.graph(batch), batch.score_mask)

    def graph(self, batch: TokenBatch) -> Tensor:
        """Return a vector per token, shape `[B, L, d]`."""
        vectors = self.compressor(last_states(self.encoder, batch))
        return F.normalize(wide(vectors), dim=-1) if self.options.normalise else vectors

    def encode_document(self, batch: TokenBatch) -> Encoded:
        """Return a vector per token, shape `[B, L, d]`."""
        return self.encode_query(batch)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the score of each row, shape `[B]`."""
        with _float32(queries):
            products = torch.bmm(wide(queries.states), wide(documents.states).transpose(1, 2))
        return max_sim(products, queries.mask, documents.mask) + self.options.offset

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
        return max_sim(products, query_mask, documents.mask) + self.options.offset

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
        """PyLate computes the Stanford form, and no other; without markers sentence-transformers alone does."""
        if not is_late(self.options):
            return {}
        return {name: loads for name, loads in self.targets.items() if name != "pylate" or self.options.markers}

    @property
    def why_not(self) -> str:
        """How the other libraries' form is trained."""
        advice = 'train it with [student.options.colbert] form = "stanford"'
        return f"; PyLate and sentence-transformers compute no papers' form: {advice}"

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether a folder holds the Margin-MSE paper's ColBERT, or one of Stanford's or PyLate's."""
        papers = is_wrapped(checkpoint) and "compressor.weight" in checkpoint.shapes
        return papers or checkpoint.model_class == STANFORD_CLASS or checkpoint.declared.is_late

    @classmethod
    def declared_options(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return what the files of PyLate, sentence-transformers or Stanford come to."""
        if not (checkpoint.declared.is_late or checkpoint.model_class == STANFORD_CLASS):
            return {}
        dim, bias = checkpoint.linear_size, checkpoint.linear_bias
        if dim is None:
            raise UserError(f"{checkpoint.folder} holds no linear map of its states, which a colbert has")
        return {"form": "stanford", "dim": dim, "bias": bias, **checkpoint.declared.late_options()}

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> Options:
        """Return the Stanford form's options, or those of the Margin-MSE paper's card."""
        if declared := cls.declared_options(checkpoint):
            return ColBertOptions(**declared)
        if not cls.recognises(checkpoint):
            return super().published_options(checkpoint)
        return ColBertOptions(
            "papers", dim=checkpoint.linear_size, bias=checkpoint.linear_bias, mask_position="after_sep"
        )

    @classmethod
    def _declared_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        declared = checkpoint.declared
        return declared.lengths(SideFormat.length_keys) if declared.is_late or declared.stanford else {}

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write the weights, for the Stanford form under its names and with what PyLate scores it alike by."""
        late, prefix = is_late(self.options), self.encoder.base_model_prefix
        write_config(self.config, folder, STANFORD_CLASS if late else PAPERS_CLASS)
        encoder = {f"{prefix}.{name}" if prefix else name: one for name, one in self.encoder.state_dict().items()}
        linear = {f"linear.{name}": tensor for name, tensor in self.compressor.state_dict().items()}
        write_weights({**encoder, **(linear if late else self.head_weights())}, folder)
        if not late:
            return
        write_dense(self.compressor, folder / "1_Dense")
        if self.options.markers:
            self._write_pylate(folder, lengths)
        else:
            self._write_native(folder, lengths)

    def _write_pylate(self, folder: Path, lengths: Mapping[str, int]) -> None:
        options, markers = self.options, markers_of(self.options.markers)
        write_modules(["Transformer", "Dense"], folder, {**lengths, **_same(lengths)})
        pylate: dict[str, Any] = {
            "model_type": "ColBERT",
            "similarity_fn_name": "MaxSim",
            "query_prefix": markers["query"],
            "document_prefix": markers["document"],
            "attend_to_expansion_tokens": options.attend_to_masks,
            "do_query_expansion": options.query_masks == "fill",
            "skiplist_words": skipped_words(options.skip_punctuation),
            "prompts": self.prefixes.prompts() if any(self.prefixes) else {},
            "default_prompt_name": None,
        }
        write_json(folder / "config_sentence_transformers.json", {**pylate, **lengths})
        if options.query_masks != "fill" or any(self.prefixes) or not isinstance(options.skip_punctuation, bool):
            return  # which Stanford's code does not have
        stanford = {
            "query_token_id": markers["query"],
            "doc_token_id": markers["document"],
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

    def _write_native(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write the modules of sentence-transformers' `MultiVectorEncoder`, which needs no markers."""
        options, places = self.options, {"Transformer": "", "Dense": "1_Dense"}
        places |= {"MultiVectorMask": "2_MultiVectorMask", "Normalize": "3_Normalize"}
        late = "sentence_transformers.multi_vector_encoder.modules"
        modules = [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"{late if kind == 'MultiVectorMask' else NATIVE}.{kind}",
            }
            for index, (kind, path) in enumerate(places.items())
        ]
        write_json(folder / "modules.json", modules)
        states = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
        dense = folder / "1_Dense/config.json"
        write_json(dense, {**read_json(dense), **states})
        words = {"skiplist_words": skipped_words(options.skip_punctuation)}
        write_json(folder / "2_MultiVectorMask/config.json", words)
        write_json(folder / "3_Normalize/config.json", states)
        encoder: dict[str, Any] = {"max_seq_length": lengths["document_length"], "do_lower_case": False, **lengths}
        if options.query_masks == "fill":
            length, attend = lengths["query_length"], options.attend_to_masks
            encoder["query_expansion"] = {"strategy": "fixed", "attend": attend, "length": length}
        write_json(folder / "sentence_bert_config.json", encoder)
        settings = {"model_type": "MultiVectorEncoder", "similarity_fn_name": "maxsim", "default_prompt_name": None}
        write_json(folder / "config_sentence_transformers.json", {**settings, "prompts": self.prefixes.prompts()})

    def card(self, lengths: Mapping[str, int]) -> Card:
        """Return the card, for PyLate where that scores alike."""
        card = super().card(lengths)
        return card._replace(library="PyLate") if self.exports else card

    @property
    def loads_in(self) -> str:
        """The card's sentence about libraries that load it."""
        if not self.exports:
            return f"{super().loads_in} PyLate and sentence-transformers do not compute this form of ColBERT."
        native = "in sentence-transformers (`MultiVectorEncoder`)."
        libraries = f"in PyLate (`ColBERT`) and {native}" if "pylate" in self.exports else native
        return f"It loads {libraries}{said_offset(self.options)}"


def is_late(options: ColBertOptions) -> bool:
    """Tell whether PyLate or sentence-transformers score as these options do.

    They always normalise, and fill queries with MASKs at the end, or not at all.
    """
    masks = (options.query_masks == "fill" and options.mask_position == "after_sep") or options.query_masks == 0
    return bool(options.normalise and masks)


def _same(lengths: Mapping[str, int]) -> dict[str, int]:
    # PyLate's own file has both lengths; older versions of sentence-transformers know one.
    return {"query_length": lengths["document_length"]}


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

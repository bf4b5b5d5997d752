"""What every ranker is to the rest of distilkit: the base class of the five architectures and of any plugin's.

A class owns everything about its architecture: options, start, forward pass, costs, files. It is entered in
`distilkit.models.STUDENTS` under a name, and nothing elsewhere asks for that name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from distilkit.data.arrays import Integers
from distilkit.data.prefixes import Prefixes
from distilkit.data.side_tokens import PairFormat
from distilkit.errors import UserError
from distilkit.model_card import Card
from distilkit.models.agree import require_encoder
from distilkit.models.batch import Sides, TokenBatch
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import encoder_of, layer_count, position_room
from distilkit.models.load import architecture_of, encoder_from, load_encoder, load_ranker, require_weights
from distilkit.models.macs import GATED, SideMacs, counted_macs, encoder_macs
from distilkit.models.options import Options
from distilkit.models.published import published_config
from distilkit.models.references import local_folder
from distilkit.models.save import write_config, write_weights
from distilkit.models.shape import set_dropout
from distilkit.models.vocabulary import cut_table, renumber

if TYPE_CHECKING:
    from distilkit.models.initialise import Origin

# Encoded documents are kept in float16, as in the Margin-MSE paper.
BYTES = 2
# Documents whose tokens are counted at a time.
ROWS = 1024


class Ranker(nn.Module):
    """A model that scores how well documents answer queries.

    `forward` is the one entry of training, so that distributed training can wrap the module.

    Attributes:
        architecture: the name in `STUDENTS`
        options_type: the class of the options that a recipe can choose
        shows_internals: whether attention scores and states can be read, as a teacher's must be
        library: what the card says that the model is for
        tags: the card's first tags
        targets: the formats of `distilkit export` and how a folder is loaded there, for some of the options at least
        published: hub ids of bare encoders that were published as this architecture
        graph_output: what an ONNX file of `graph` calls its output, None for an architecture that has no such file
        graph_axes: the names of the output's dimensions that change from batch to batch
        declares: what config.json says to other libraries
        backend: what computes: torch, or onnx
        apart: about what share of a pair's work is that of its texts alone, which are encoded once; for forecasts
        stored: what the weights are stored as where torch does not compute: fp32 or int8
        prefixes: what is read before queries and documents
    """

    architecture: ClassVar[str]
    options_type: ClassVar[type[Options]] = Options
    shows_internals: ClassVar[bool] = False
    library: ClassVar[str] = "distilkit"
    tags: ClassVar[tuple[str, ...]] = ()
    targets: ClassVar[Mapping[str, str]] = {}
    published: ClassVar[tuple[str, ...]] = ()
    graph_output: ClassVar[str | None] = None
    graph_axes: ClassVar[Mapping[int, str]] = {0: "batch"}
    declares: ClassVar[Mapping[str, Any]] = {}
    backend: ClassVar[str] = "torch"
    apart: ClassVar[float] = 0.0
    stored: str | None = None

    options: Any
    encoder: PreTrainedModel
    prefixes: Prefixes = Prefixes()

    @property
    def config(self) -> PretrainedConfig:
        """The sizes, under the names that transformers' configurations have for them."""
        return cast(PretrainedConfig, self.encoder.config)

    @property
    def num_layers(self) -> int:
        """The number of layers a text goes through."""
        return layer_count(self.config)

    @property
    def num_heads(self) -> int:
        """The number of attention heads in a layer."""
        return int(self.config.num_attention_heads)

    @property
    def hidden_size(self) -> int:
        """The size of a hidden state."""
        return int(self.config.hidden_size)

    @property
    def parameter_count(self) -> int:
        """The number of parameters, those of the head included (the papers count the encoder's alone)."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def weight_bytes(self) -> int:
        """The bytes of its weights, as they are computed with."""
        return sum(parameter.numel() * parameter.element_size() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def keep_rows(self, rows: Integers) -> None:
        """Keep some rows of the word embeddings: token i is from now on what token rows[i] was, and reads as it did."""
        self.encoder.set_input_embeddings(cut_table(self.encoder.get_input_embeddings(), rows))
        renumber(self.config, rows)

    # Scores

    def score(self, batch: Any) -> Tensor:
        """Return a raw score per pair, shape `[B]`: higher is better."""
        raise NotImplementedError

    def graph(self, batch: TokenBatch) -> Tensor:
        """Return all that an ONNX file computes of a batch of texts, or of packed pairs."""
        raise NotImplementedError

    @property
    def reads_pairs(self) -> bool:
        """Whether `score` takes a TokenBatch of pairs in one sequence, rather than Sides."""
        return isinstance(self.options.text_format, PairFormat)

    @property
    def room(self) -> int | None:
        """The most tokens that its encoder has positions for, None where nothing limits them."""
        return position_room(getattr(self, "encoder", None))

    @property
    def rooms(self) -> dict[str, int]:
        """The most that each length of `[data]` can be, {} where no positions limit them."""
        room = self.room
        return {} if room is None else dict.fromkeys(self.options.text_format.length_keys, room)

    # Costs

    def macs(self, length: int, layers: int | None = None) -> int:
        """Return the multiply-accumulates of one text, or packed pair, through the encoder or some of its layers."""
        layers, config = self.num_layers if layers is None else layers, self.config
        # DistilBERT has another name for it.
        inner = getattr(config, "hidden_dim", None) or getattr(config, "intermediate_size", None)
        if inner is None or hasattr(config, "num_key_value_heads") or config.model_type in GATED:
            return counted_macs(self.encoder, layers, self.num_layers, length)
        return encoder_macs(layers, self.hidden_size, inner, length)

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return where the multiply-accumulates fall for a query and a document of so many tokens each."""
        raise NotImplementedError

    def pair_macs(self, tokens: Any) -> int:
        """Return the multiply-accumulates of one pair of the longest texts that `tokens` makes, with nothing kept."""
        raise NotImplementedError

    def macs_without_product(self, query_length: int, document_length: int) -> int:
        """Return what of these is not a matrix product, and is not seen where products are counted."""
        return 0

    @property
    def interaction(self) -> str:
        """What query and document have in common, as the column of the Margin-MSE paper's table 1 says it."""
        raise NotImplementedError

    # What is kept of documents before any query

    @property
    def storage_unit(self) -> str | None:
        """How many vectors a collection needs: |P|, its passages, |T|, their tokens, or None where none is kept."""
        return None

    @property
    def keeps_documents(self) -> bool:
        """Whether documents can be encoded before any query is known."""
        return self.storage_unit is not None

    @property
    def searches(self) -> bool:
        """Whether `score_all` scores all documents for all queries, so that a whole collection can be searched."""
        return hasattr(self, "score_all")

    @property
    def vector_size(self) -> int:
        """The numbers in one of a document's vectors."""
        return int(getattr(self.options, "dim", None) or self.hidden_size)

    def bytes_per_document(self, tokens: Any, documents: Integers) -> float | None:
        """Return the bytes that a document's vectors take on the mean, by formula: vectors × numbers in one × 2.

        Args:
            tokens: the ranker's tokens
            documents: the documents' rows in them

        Returns:
            None where no document can be kept, or none is given.
        """
        if not self.keeps_documents or not len(documents):
            return None
        vectors = len(documents)
        if self.storage_unit == "|T|":
            batches = (documents[at : at + ROWS] for at in range(0, len(documents), ROWS))
            vectors = sum(_scored_tokens(tokens.documents.batch(rows)) for rows in batches)
        return float(vectors / len(documents) * self.vector_size * BYTES)

    # Start, load, save

    @classmethod
    def begin(cls, origin: "Origin", options: Options | None) -> Self:
        """Return a new student of this architecture; None are the architecture's own defaults, or a checkpoint's."""
        raise NotImplementedError

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether a folder that no `save_ranker` wrote holds a ranker of this architecture."""
        return False

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> Options:
        """Return the options that a published checkpoint is used with on its card; raises UserError for any other."""
        raise UserError(f"{checkpoint.folder} is an encoder without the weights of a {cls.architecture}")

    @classmethod
    def options_build_on_others(cls, chosen: Mapping[str, Any]) -> bool:
        """Tell whether options that are chosen change those of a folder, rather than being all that counts."""
        return True

    @classmethod
    def declared_options(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """Return the options that files of other libraries state in a folder that we wrote, and others may have since.

        Raises UserError where they state what this architecture does not compute.
        """
        return {}

    @classmethod
    def published_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        """Return the lengths that the ranker in a folder was saved or published with, by the keys of `[data]`."""
        keys = ("max_length", "query_length", "document_length")
        return {key: checkpoint.entry[key] for key in keys if key in checkpoint.entry} | cls._declared_lengths(
            checkpoint
        )

    @classmethod
    def _declared_lengths(cls, checkpoint: Checkpoint) -> dict[str, int]:
        return {}

    @classmethod
    def holds_encoder(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether the encoder in a folder of this architecture is found by loading the whole ranker."""
        return False

    @classmethod
    def load(cls, checkpoint: Checkpoint, options: Options | None, dropout: float | None, dtype: torch.dtype) -> Self:
        """Return the ranker in a folder; see `load_ranker`."""
        raise NotImplementedError

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write config.json, weights and what other libraries need to an empty folder."""
        write_config(self.config, folder, type(self).__name__)
        write_weights(self.state_dict(), folder)

    @property
    def exports(self) -> Mapping[str, str]:
        """Those of `targets` in which a ranker of these options scores as it does here."""
        return self.targets

    @property
    def why_not(self) -> str:
        """What is said of a format that `exports` lacks, beside those that it has."""
        return ""

    def card(self, lengths: Mapping[str, int]) -> Card:
        """Return what the model card says about the ranker."""
        loads = self.loads_in.format(**lengths)
        text = (
            f"A {self.architecture} ranker, distilled with distilkit. Its scores are raw: higher is better. "
            f"{loads} It was trained on queries of at most {lengths['query_length']} tokens and documents of at most "
            f"{lengths['document_length']}."
        )
        return Card(self.library, (*self.tags, "reranker", "distillation", "distilkit"), text)

    @property
    def loads_in(self) -> str:
        """The card's sentence about libraries that load it."""
        return "It loads in distilkit (`load_ranker`)."


class SideRanker(Ranker):
    """A ranker that encodes queries and documents apart, and scores what it encoded."""

    apart = 1.0

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
        found = torch.cat(scores) if len(scores) > 1 else scores[0]
        return self.in_training(found) if self.training else found

    def in_training(self, scores: Tensor) -> Tensor:
        """Return scores as losses read them, which may be another range than that of `score`."""
        return scores

    @property
    def scores_encoded(self) -> bool:
        """Whether a pair's score is `score_encoded` of its texts, however they are batched, and nothing more.

        So it is not where documents depend on a batch's queries, nor of a plugin's ranker with a `forward` of its own.
        """
        return self.keeps_documents and type(self).forward is SideRanker.forward

    @property
    def rooms(self) -> dict[str, int]:
        """The most that queries and documents can have; the MASKs of a query need positions too."""
        rooms, masks = super().rooms, self.options.text_format.query_masks
        if rooms and isinstance(masks, int):
            rooms["query_length"] -= masks
        return rooms

    def pair_macs(self, tokens: Any) -> int:
        """Return the multiply-accumulates of one pair of the longest texts that `tokens` makes, with nothing kept."""
        return sum(self.side_macs(tokens.queries.longest, tokens.documents.longest))

    @property
    def storage_unit(self) -> str | None:
        """A vector a token, unless an architecture says otherwise."""
        return "|T|"


class EncoderRanker(SideRanker):
    """A side ranker around one encoder of transformers, which reads both sides; made from encoder and options alone."""

    def __init__(self, encoder: PreTrainedModel, options: Any) -> None:
        super().__init__()
        self.encoder, self.options = encoder, options

    @classmethod
    def begin(cls, origin: "Origin", options: Options | None) -> Self:
        """Return a ranker around a drawn or copied encoder, or around that of the checkpoint it starts from."""
        source = origin.source_encoder()
        if not origin.is_checkpoint:
            return cls(origin.new_encoder(source), options or cls.options_type())
        folder = local_folder(origin.start)
        if architecture_of(folder) == cls.architecture:
            student = cast(Self, load_ranker(folder, options=options, dropout=origin.dropout))
        else:
            student = cls(load_encoder(folder, origin.dropout), options or cls.options_type())
        origin.require_fit(student.config, source.config.vocab_size)
        return student

    @classmethod
    def hollow(cls, config: PretrainedConfig, options: Options) -> Self:
        """Return a ranker around an encoder whose weights mean nothing."""
        return cls(encoder_of(config), options)

    @classmethod
    def holds_encoder(cls, checkpoint: Checkpoint) -> bool:
        """Its weights lie under names of their own, so loading it is how its encoder is found."""
        return True

    @classmethod
    def load(cls, checkpoint: Checkpoint, options: Options | None, dropout: float | None, dtype: torch.dtype) -> Self:
        """Return the ranker in a folder, ours or published."""
        config, chosen = published_config(checkpoint), options or cls.published_options(checkpoint)
        set_dropout(config, dropout)
        weights, where = checkpoint.named_weights(dtype), checkpoint.folder
        encoder, rest = encoder_from(config, weights, where, dtype)
        ranker = cls(encoder, chosen).to(dtype)
        head = {name: weights[name] for name in rest}
        require_weights({name: weight.shape for name, weight in ranker.head_weights().items()}, head, where)
        ranker.load_state_dict(head, strict=False)
        require_encoder(ranker.encoder.eval(), where)
        return ranker

    def head_weights(self) -> dict[str, Tensor]:
        """Return the weights that are not the encoder's, by name."""
        return {name: weight for name, weight in self.state_dict().items() if not name.startswith("encoder.")}

    def write(self, folder: Path, lengths: Mapping[str, int]) -> None:
        """Write config.json and weights, those of the encoder under their bare names."""
        write_config(self.config, folder, type(self.encoder).__name__)
        write_weights({**self.encoder.state_dict(), **self.head_weights()}, folder)


def _scored_tokens(columns: Mapping[str, Any]) -> int:
    """Count the tokens that are scored, which are those that are kept."""
    return int(columns.get("scored", columns["attention_mask"]).sum())

"""PreTTR: the lower layers read query and document apart, the upper ones together."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from distilkit.data.side_tokens import MaskPosition, SideFormat
from distilkit.errors import UserError
from distilkit.models.attention import able_to_read_first_token, first_token_alone
from distilkit.models.batch import TokenBatch
from distilkit.models.checkpoint import Checkpoint
from distilkit.models.encoded import Encoded, wide
from distilkit.models.encoder import first_position
from distilkit.models.layers import encoder_layers
from distilkit.models.macs import SideMacs
from distilkit.models.options import Options
from distilkit.models.published import HEAD, is_wrapped
from distilkit.models.ranker import EncoderRanker

# Families whose layers read states and a mask and nothing else; others add positions to each, for instance.
SPLITTABLE = ("bert", "camembert", "distilbert", "electra", "mobilebert", "roberta", "xlm-roberta")


@dataclass(frozen=True)
class PreTtrOptions(Options):
    """PreTTR's options.

    Attributes:
        join_layer: how many layers read query and document apart; by default half of them, as 3 of DistilBERT's 6
        document_offset: the position of a document's first token: 30, the paper's longest query, by default, so that
            documents can be encoded before any query is known; `batch`, the padded width of the batch's queries, is
            what the published code does
        document_cls: whether documents keep their [CLS]: not in the published code, but in the paper's equation 6
        query_masks: how many MASKs a query gets beyond its length limit
        mask_position: `before_sep` or `after_sep`
    """

    join_layer: int | None = None
    document_offset: int | Literal["batch"] = 30
    document_cls: bool = False
    query_masks: int = 0
    mask_position: MaskPosition = "before_sep"

    def __post_init__(self) -> None:
        self._require_one_of("mask_position", ("before_sep", "after_sep"))
        self._require_from_zero("document_offset", "a position", "batch")
        self._require_from_zero("query_masks", "a number")
        if self.join_layer is not None:
            self._require_from_zero("join_layer", "a number")
        self._require_truth("document_cls")

    @property
    def text_format(self) -> SideFormat:
        """How queries and documents are tokenised."""
        return SideFormat(
            document_cls=self.document_cls, query_masks=self.query_masks, mask_position=self.mask_position
        )


class PreTtr(EncoderRanker):
    """A cross-encoder split at a layer b, below which a document's states need no query and can be kept.

    The states of [CLS] q [SEP] and of d [SEP] after b layers are read together by the layers above; the score is the
    first state of the last layer times w_s. A document's positions start at a fixed offset; with the offset `batch` of
    the published code they start at the padded width of the batch's queries, so that a score depends on its batch.

    MacAvaney et al. 2020: https://arxiv.org/abs/2004.14255; Hofstätter et al. 2020, equations 6 and 7:
    https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "prettr"
    apart = 0.5
    options_type = PreTtrOptions
    tags = ("prettr",)

    options: PreTtrOptions

    def __init__(self, encoder: PreTrainedModel, options: PreTtrOptions) -> None:
        super().__init__(encoder, options)
        self.layers()
        able_to_read_first_token(encoder)
        join = self.num_layers // 2 if options.join_layer is None else options.join_layer
        if join >= self.num_layers:
            raise UserError(f"prettr: join_layer is from 0 to {self.num_layers - 1}, so that a layer joins, not {join}")
        self.options = replace(options, join_layer=join)
        self.join = join
        # The name and the missing bias are those of the published checkpoint.
        self._classification_layer = nn.Linear(self.hidden_size, 1, bias=False)

    def side_macs(self, query_length: int, document_length: int) -> SideMacs:
        """Return the lower layers of either side, and the upper ones of both together."""
        query, document = (self.macs(length, self.join) for length in (query_length, document_length))
        return SideMacs(query, document, self.macs(query_length + document_length, self.num_layers - self.join))

    @property
    def interaction(self) -> str:
        """The layers above the join."""
        return f"the upper {self.num_layers - self.join} of {self.num_layers} layers"

    @property
    def storage_unit(self) -> str | None:
        """A state a token; nothing is kept where documents start at the width of a batch's queries."""
        return None if self.options.document_offset == "batch" else "|T|"

    @property
    def rooms(self) -> dict[str, int]:
        """The most that queries and documents can have; those start at an offset."""
        rooms, offset = super().rooms, self.options.document_offset
        if rooms and isinstance(offset, int):
            rooms["document_length"] -= offset
        return rooms

    @classmethod
    def recognises(cls, checkpoint: Checkpoint) -> bool:
        """Tell whether a folder holds the Margin-MSE paper's PreTTR."""
        return HEAD in checkpoint.shapes and not is_wrapped(checkpoint)

    @classmethod
    def published_options(cls, checkpoint: Checkpoint) -> Options:
        """Return the card's options, document positions apart; a released configuration may say where it joins."""
        if not cls.recognises(checkpoint):
            return super().published_options(checkpoint)
        join = int(checkpoint.config.get("join_layer_idx", 3))
        return PreTtrOptions(join_layer=join, query_masks=8, mask_position="after_sep")

    def layers(self) -> list[Any]:
        """Return the encoder's layers; raises UserError for one whose layers cannot be run one by one."""
        if self.config.model_type not in SPLITTABLE:
            raise UserError(
                f"prettr needs an encoder whose layers can be run one by one ({', '.join(SPLITTABLE)}), "
                f"not {self.config.model_type}"
            )
        return encoder_layers(self.encoder)

    def encode_document_beside(self, batch: TokenBatch, queries: TokenBatch) -> Encoded:
        """Return a document's states at the join; with the offset `batch` they start where the longest query ends."""
        offset = queries.input_ids.shape[1] if self.options.document_offset == "batch" else None
        return self.encode_document(batch, offset)

    def encode_query(self, batch: TokenBatch) -> Encoded:
        """Return a query's states at the join, shape `[B, L, H]`."""
        return self._encode(batch, 0)

    def encode_document(self, batch: TokenBatch, offset: int | None = None) -> Encoded:
        """Return a document's states at the join, shape `[B, L, H]`; they depend on nothing but the document.

        Raises UserError where the options' offset is `batch` and none is given.
        """
        if offset is None:
            if self.options.document_offset == "batch":
                raise UserError("prettr: document_offset = 'batch' needs a batch's queries: set a number instead")
            offset = int(self.options.document_offset)
        if getattr(self.config, "type_vocab_size", 0) > 1:
            # The second half of a pair, which BERT's layers above the join have seen with its own type.
            batch = replace(batch, token_type_ids=torch.ones_like(batch.input_ids))
        return self._encode(batch, offset)

    def score_encoded(self, queries: Encoded, documents: Encoded) -> Tensor:
        """Return the score of each row, shape `[B]`."""
        assert queries.mask is not None
        assert documents.mask is not None
        dtype = self._classification_layer.weight.dtype
        states = torch.cat([queries.states.to(dtype), documents.states.to(dtype)], dim=1)
        with first_token_alone():
            states = self._run(states, torch.cat([queries.mask, documents.mask], dim=1), self.layers()[self.join :])
        with torch.autocast(states.device.type, enabled=False):
            return F.linear(wide(states[:, 0]), wide(self._classification_layer.weight))[:, 0]

    def _encode(self, batch: TokenBatch, offset: int) -> Encoded:
        length = batch.input_ids.shape[1]
        room = self.room
        if room is not None and offset + length > room:
            raise UserError(
                f"prettr: a document of {length} tokens from position {offset} on needs {offset + length} positions, "
                f"the encoder has {room}: lower its length or document_offset"
            )
        positions = torch.arange(offset, offset + length, device=batch.input_ids.device) + first_position(self.config)
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "position_ids": positions.expand(len(batch), -1)}
        if batch.token_type_ids is not None and getattr(self.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = batch.token_type_ids
        states = self.encoder.embeddings(**inputs)
        if hasattr(self.encoder, "embeddings_project"):
            states = self.encoder.embeddings_project(states)
        mask = batch.attention_mask.bool()
        return Encoded(self._run(states, mask, self.layers()[: self.join]), mask)

    def _run(self, states: Tensor, mask: Tensor, layers: Any) -> Tensor:
        seen = create_bidirectional_mask(self.config, states, mask.long())
        for layer in layers:
            output = layer(states, seen)
            # A tensor in new versions of transformers; indexing it would take a row of the batch.
            states = output if isinstance(output, Tensor) else output[0]
        return states

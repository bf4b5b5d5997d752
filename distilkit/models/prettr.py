"""PreTTR: the lower layers read query and document apart, the upper ones together."""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask

from distilkit.errors import UserError
from distilkit.models.batch import TokenBatch
from distilkit.models.encoded import Encoded
from distilkit.models.first_token import able_to_read_first_token, first_token_alone
from distilkit.models.layers import encoder_layers
from distilkit.models.options import PreTtrOptions
from distilkit.models.positions import first_position, position_room
from distilkit.models.ranker import SideRanker, wide

# Families whose layers read states and a mask and nothing else; others add positions to each, for instance.
SPLITTABLE = ("bert", "camembert", "distilbert", "electra", "mobilebert", "roberta", "xlm-roberta")


class PreTtr(SideRanker):
    """A cross-encoder split at a layer b, below which a document's states need no query and can be kept.

    The states of [CLS] q [SEP] and of d [SEP] after b layers are read together by the layers above; the score is the
    first state of the last layer times w_s. A document's positions start at a fixed offset; with the offset `batch` of
    the published code they start at the padded width of the batch's queries, so that a score depends on its batch.

    MacAvaney et al. 2020: https://arxiv.org/abs/2004.14255; Hofstätter et al. 2020, equations 6 and 7:
    https://arxiv.org/abs/2010.02666
    """

    architecture: ClassVar[str] = "prettr"

    def __init__(self, encoder: PreTrainedModel, options: PreTtrOptions) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers()
        able_to_read_first_token(encoder)
        join = self.num_layers // 2 if options.join_layer is None else options.join_layer
        if join >= self.num_layers:
            raise UserError(f"prettr: join_layer is from 0 to {self.num_layers - 1}, so that a layer joins, not {join}")
        self.options = replace(options, join_layer=join)
        self.join = join
        # The name and the missing bias are those of the published checkpoint.
        self._classification_layer = nn.Linear(self.hidden_size, 1, bias=False)

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
        room = position_room(self.config)
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

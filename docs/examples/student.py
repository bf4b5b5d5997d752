"""A student of one's own: a bi-encoder that takes the mean of all states for a text's vector."""

from typing import ClassVar

import distilkit
from distilkit.models.encoded import Encoded
from distilkit.models.encoder import last_states
from distilkit.models.macs import SideMacs
from distilkit.models.ranker import EncoderRanker


@distilkit.register_student("mean_dot")
class MeanDot(EncoderRanker):
    """The dot product of two mean vectors."""

    architecture: ClassVar[str] = "mean_dot"
    interaction = "one dot product"
    storage_unit = "|P|"  # one vector a passage is kept

    def encode_query(self, batch):
        """Return a vector per text, shape [B, d]."""
        mask = batch.attention_mask[..., None]
        return Encoded((last_states(self.encoder, batch) * mask).sum(1) / mask.sum(1))

    encode_document = encode_query

    def score_encoded(self, queries, documents):
        """Return the score of each row, shape [B]."""
        return (queries.states * documents.states).sum(-1)

    def score_all(self, queries, documents):
        """Return the scores of every query with every document, shape [Q, D]."""
        return queries.states @ documents.states.T

    def side_macs(self, query_length, document_length):
        """Return what encoding a query costs, what encoding a document costs, and what joining them costs."""
        return SideMacs(self.macs(query_length), self.macs(document_length), self.hidden_size)

    def macs_without_product(self, query_length, document_length):
        """Return the multiply-accumulates that are not products of matrices: the dot product."""
        return self.hidden_size

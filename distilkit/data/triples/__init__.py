"""Training triples of files, by ids or by texts, as memory-mapped rows of a collection's tables."""

from distilkit.data.triples.store import OnMissing, Triples, left_out, lists_of, triples_identity, write_triples

__all__ = ["OnMissing", "Triples", "left_out", "lists_of", "triples_identity", "write_triples"]

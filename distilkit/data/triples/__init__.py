"""Training triples of files, by ids or by texts, as memory-mapped rows of a collection's tables."""

from distilkit.data.triples.building import OnMissing, triples_identity, write_triples
from distilkit.data.triples.store import Triples

__all__ = ["OnMissing", "Triples", "triples_identity", "write_triples"]

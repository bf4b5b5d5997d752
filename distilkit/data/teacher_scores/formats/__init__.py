"""The formats that teacher scores come in; importing this fills the registry."""

from distilkit.data.teacher_scores.formats import (  # noqa: F401
    colbert,
    distilkit,
    flagembedding,
    hub_margins,
    hub_scores,
    pylate,
    sbert_hard_negatives,
    sentence_transformers,
    tevatron,
    trec,
    tsv,
    tsv_passages,
)
from distilkit.data.teacher_scores.formats.base import FORMATS, Format, sniff

__all__ = ["FORMATS", "Format", "sniff"]

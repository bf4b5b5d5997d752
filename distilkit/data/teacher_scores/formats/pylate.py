"""PyLate's and sentence-transformers' tables for distillation: query_id, document_ids, scores."""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.lists import as_list, same_length
from distilkit.data.teacher_scores.head import table_rows

KEYS = ("query_id", "document_ids", "scores")


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each document of each query, of Parquet or JSON lines; lists and ids may be strings."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in table_rows(path):
        query = identifier(file, place, row.get("query_id"))
        documents, scores = as_list(file, place, row, "document_ids"), as_list(file, place, row, "scores")
        same_length(file, place, documents, scores, "document_ids and scores")
        for document, score in zip(documents, scores, strict=True):
            yield Row(place, (query, identifier(file, place, document)), number(file, place, score))


FORMATS.register("pylate")(
    Format("a table of query_id, document_ids, scores", lambda head: {*KEYS} <= {*head.columns}, read)
)

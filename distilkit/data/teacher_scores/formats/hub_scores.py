"""Parquet tables of one score a row, under any of the usual names: {qid, docno, score}, {query_id, passage_id, score}.

Rank-DistiLLM's runs and `bert-ensemble-mse` of sentence-transformers/msmarco are such.
"""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.columns import DOCUMENT, QUERY, pick, read_table
from distilkit.data.teacher_scores.head import Head
from distilkit.errors import UserError


def matches(head: Head) -> bool:
    """Return whether a table names a query, a document and a score."""
    names = head.columns
    return head.schema is not None and bool(pick(names, QUERY) and pick(names, DOCUMENT)) and "score" in names


def read(path: Path) -> Iterator[Block]:
    """Yield the table's rows; columns other than query, document and score are not read."""
    head = Head.of(path)
    query, document = pick(head.columns, QUERY), pick(head.columns, DOCUMENT)
    if not (query and document and matches(head)):
        raise UserError(f"{path}: expected the columns query_id, doc_id and score, found {', '.join(head.columns)}")
    return read_table(path, (query, document), {"score": "score"})


FORMATS.register("hub_scores")(Format("Parquet: a query id, a document id, score", matches, read))

"""Scores in Parquet tables of one score a row: distilkit's own and those on the Hugging Face hub.

Rank-DistiLLM's runs and `bert-ensemble-mse` of sentence-transformers/msmarco are tables of scores,
`bert-ensemble-margin-mse` is one of margins: the positive's score less the negative's.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.reading import refuse
from distilkit.data.teacher_scores.blocks import Block, Floats, checked
from distilkit.data.teacher_scores.head import Head, batches
from distilkit.errors import UserError

QUERY = ("query_id", "qid", "query-id")
DOCUMENT = ("doc_id", "docid", "docno", "passage_id", "pid", "document_id", "corpus_id", "corpus-id")
OWN_IDS = ("query_id", "doc_id")
MARGIN_IDS = ("query_id", "positive_id", "negative_id")


def is_distilkit(head: Head) -> bool:
    """Return whether a table has the columns that ours have, and other columns of float32 alone."""
    if head.schema is None or head.columns[:3] != (*OWN_IDS, "score"):
        return False
    return all(kind == pa.float32() for kind in head.schema.types[2:])


def distilkit(path: Path) -> Iterator[Block]:
    """Yield the rows of query_id, doc_id, score and a column per teacher of an ensemble."""
    return read_table(path, OWN_IDS, {name: name for name in Head.of(path).columns if name not in OWN_IDS})


def is_margins(head: Head) -> bool:
    """Return whether a table has margins of positives and negatives."""
    return head.schema is not None and {*MARGIN_IDS, "score"} <= {*head.columns}


def margins(path: Path) -> Iterator[Block]:
    """Yield the margins of query_id, positive_id, negative_id, score."""
    return read_table(path, MARGIN_IDS, {"score": "score"})


def is_scores(head: Head) -> bool:
    """Return whether a table names a query, a document and a score."""
    return head.schema is not None and len(_id_columns(head)) == 2 and "score" in head.columns


def scores(path: Path) -> Iterator[Block]:
    """Yield the rows of a query id, a document id and score, by any usual name; other columns are not read."""
    head = Head.of(path)
    if not is_scores(head):
        raise UserError(f"{path}: expected the columns query_id, doc_id and score, found {', '.join(head.columns)}")
    return read_table(path, _id_columns(head), {"score": "score"})


def read_table(path: Path, ids: Sequence[str], scores: Mapping[str, str]) -> Iterator[Block]:
    """Yield a Parquet table's rows: its columns of ids, and those of scores by the names that they shall have."""
    for file, first, batch in batches(path, [*ids, *scores]):
        places = np.arange(first, first + len(batch))
        columns = tuple(_strings(file, first, name, batch.column(name)) for name in ids)
        found = {shown: _numbers(file, first, name, batch.column(name)) for name, shown in scores.items()}
        for values in found.values():
            checked(file, places, values, unit=": row ")
        yield Block(places, columns, found)


def _id_columns(head: Head) -> list[str]:
    """Return the columns of query and document ids, as many as there are."""
    found = (next((name for name in known if name in head.columns), None) for known in (QUERY, DOCUMENT))
    return [name for name in found if name is not None]


def _strings(file: Path, first: int, name: str, column: pa.Array) -> pa.Array:
    _require_whole(file, first, name, column)
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    kinds = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise UserError(f"{file}: column {name!r} is {column.type}; expected ids")
    return pc.cast(column, pa.string())


def _numbers(file: Path, first: int, name: str, column: pa.Array) -> Floats:
    _require_whole(file, first, name, column)
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise UserError(f"{file}: column {name!r} is {column.type}; expected scores")
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float32)
    return values


def _require_whole(file: Path, first: int, name: str, column: pa.Array) -> None:
    if column.null_count:
        missing = int(np.argmax(pc.is_null(column).to_numpy(zero_copy_only=False)))
        refuse(file, first + missing, f"the column {name!r} is empty", unit=": row ")

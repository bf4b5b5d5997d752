"""Columns of a Parquet table as ids and scores."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.teacher_scores.blocks import Block, Floats, checked, refuse
from distilkit.data.teacher_scores.head import batches
from distilkit.errors import UserError

QUERY = ("query_id", "qid", "query-id")
DOCUMENT = ("doc_id", "docid", "docno", "passage_id", "pid", "document_id", "corpus_id", "corpus-id")


def pick(names: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the first of the known names that a table has, or None."""
    return next((name for name in known if name in names), None)


def read_table(path: Path, ids: Sequence[str], scores: Mapping[str, str]) -> Iterator[Block]:
    """Yield a Parquet table's rows: its columns of ids, and those of scores by the names that they shall have."""
    for file, first, batch in batches(path, [*ids, *scores]):
        places = np.arange(first, first + len(batch))
        columns = tuple(_strings(file, first, name, batch.column(name)) for name in ids)
        found = {shown: _numbers(file, first, name, batch.column(name)) for name, shown in scores.items()}
        for values in found.values():
            checked(file, places, values, unit=": row ")
        yield Block(places, columns, found)


def _strings(file: Path, first: int, name: str, column: pa.Array) -> pa.Array:
    _require_whole(file, first, name, column)
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if not (
        pa.types.is_integer(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    ):
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

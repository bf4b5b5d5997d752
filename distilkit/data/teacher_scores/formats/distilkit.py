"""distilkit's own Parquet: query_id, doc_id, score and a column per teacher of an ensemble."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.columns import read_table
from distilkit.data.teacher_scores.head import Head

IDS = ("query_id", "doc_id")


def matches(head: Head) -> bool:
    """Return whether a table has the columns that ours have, and other columns of float32 alone."""
    if head.schema is None or head.columns[:3] != (*IDS, "score"):
        return False
    return all(kind == pa.float32() for kind in head.schema.types[2:])


def read(path: Path) -> Iterator[Block]:
    """Yield the table's rows."""
    return read_table(path, IDS, {name: name for name in Head.of(path).columns if name not in IDS})


FORMATS.register("distilkit")(
    Format("distilkit's Parquet: query_id, doc_id, score, a float32 column per teacher", matches, read)
)

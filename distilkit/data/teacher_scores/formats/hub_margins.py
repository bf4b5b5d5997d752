"""The hub's tables of margins: query_id, positive_id, negative_id, score = positive's score less the negative's.

`bert-ensemble-margin-mse` of sentence-transformers/msmarco is one.
"""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.columns import read_table

IDS = ("query_id", "positive_id", "negative_id")


def read(path: Path) -> Iterator[Block]:
    """Yield the margins."""
    return read_table(path, IDS, {"score": "score"})


FORMATS.register("hub_margins")(
    Format(
        "Parquet: query_id, positive_id, negative_id, score (a margin)",
        lambda head: head.schema is not None and {*IDS, "score"} <= {*head.columns},
        read,
    )
)

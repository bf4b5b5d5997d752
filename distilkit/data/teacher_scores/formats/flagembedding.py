"""FlagEmbedding's training data with scores: `{query, pos: [], neg: [], pos_scores: [], neg_scores: []}` a line."""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.lists import as_list, same_length
from distilkit.data.teacher_scores.head import json_rows

KEYS = ("query", "pos", "neg", "pos_scores", "neg_scores")


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each passage of each query."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in json_rows(path, dict):
        query = identifier(file, place, row.get("query"))
        for side in ("pos", "neg"):
            passages, scores = (as_list(file, place, row, key) for key in (side, f"{side}_scores"))
            same_length(file, place, passages, scores, f"{side} and {side}_scores")
            for passage, score in zip(passages, scores, strict=True):
                yield Row(place, (query, identifier(file, place, passage)), number(file, place, score))


FORMATS.register("flagembedding")(
    Format(
        "JSON lines: {query, pos, neg, pos_scores, neg_scores}",
        lambda head: isinstance(head.value, dict) and {*KEYS} <= {*head.value},
        read,
        holds="texts",
    )
)

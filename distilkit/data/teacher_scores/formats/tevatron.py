"""Tevatron's training data with scores.

A JSON object a line: `{query_id, query, positive_passages: [{docid, title, text, score}], negative_passages: [...]}`.
"""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.lists import as_list
from distilkit.data.teacher_scores.head import json_rows

SIDES = ("positive_passages", "negative_passages")


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each passage of each query; texts are not read."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in json_rows(path, dict):
        query = identifier(file, place, row.get("query_id"))
        for side in SIDES:
            for passage in as_list(file, place, row, side):
                if not isinstance(passage, dict) or "score" not in passage:
                    refuse(file, place, f"expected {side} as {{docid, title, text, score}}, got {passage!r:.40}")
                ids = query, identifier(file, place, passage.get("docid"))
                yield Row(place, ids, number(file, place, passage["score"]))


FORMATS.register("tevatron")(
    Format(
        "JSON lines: {query_id, query, positive_passages: [{docid, score, ...}], negative_passages: [...]}",
        lambda head: isinstance(head.value, dict) and {"query_id", *SIDES} <= {*head.value},
        read,
    )
)

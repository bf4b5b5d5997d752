"""ColBERTv2's n-way lists: a JSON list a line, `[query_id, [passage_id, score], ...]`."""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.head import json_rows


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each passage of each query."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in json_rows(path, list):
        for passage in row[1:]:
            if not isinstance(passage, list) or len(passage) != 2:
                refuse(file, place, f"expected [passage_id, score], got {passage!r:.40}")
            ids = identifier(file, place, row[0]), identifier(file, place, passage[0])
            yield Row(place, ids, number(file, place, passage[1]))


FORMATS.register("colbert")(
    Format("JSON lines: [query_id, [passage_id, score], ...]", lambda head: isinstance(head.value, list), read)
)

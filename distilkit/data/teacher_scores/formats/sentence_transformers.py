"""The columns that sentence-transformers' losses take: query, positive, negative_1..n and a label; order is meaning.

The label is one margin, a margin per negative, or a score per passage, under label, labels, score or scores.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.lists import as_list
from distilkit.data.teacher_scores.head import Head, table_rows

LABELS = ("label", "labels", "score", "scores")


def matches(head: Head) -> bool:
    """Return whether a table has one label, and texts in two other columns or more."""
    labels = [name for name in head.columns if name in LABELS]
    texts = [name for name in head.columns if name not in LABELS]
    if len(labels) != 1 or len(texts) < 2 or any(name.endswith(("_id", "_ids")) for name in texts):
        return False
    if head.schema is not None:
        return all(str(head.schema.field(name).type) in ("string", "large_string") for name in texts)
    return all(isinstance(head.value[name], str) for name in texts)


def read(path: Path) -> Iterator[Block]:
    """Yield scores, or margins where the labels are margins."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in table_rows(path):
        key = next((name for name in LABELS if name in row), None)
        texts = [identifier(file, place, text) for name, text in row.items() if name not in LABELS]
        if key is None or len(texts) < 2:
            refuse(file, place, f"expected a query, passages and one of {', '.join(LABELS)}")
        query, *passages = texts
        values = _values(file, place, row, key)
        if len(values) == len(passages):
            for passage, value in zip(passages, values, strict=True):
                yield Row(place, (query, passage), value)
        elif len(values) == len(passages) - 1:
            for passage, value in zip(passages[1:], values, strict=True):
                yield Row(place, (query, passages[0], passage), value)
        else:
            refuse(file, place, f"{len(values)} labels for {len(passages)} passages; expected a score or margin each")


def _values(file: Path, place: int, row: dict[str, Any], key: str) -> list[float]:
    value = row[key]
    values = as_list(file, place, row, key) if isinstance(value, list | tuple | str) else [value]
    return [number(file, place, one) for one in values]


FORMATS.register("sentence_transformers")(
    Format("a table of query, positive, negatives and label, labels, score or scores", matches, read, holds="texts")
)

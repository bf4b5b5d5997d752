"""The files that triples come in, told apart by their beginning."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from distilkit.data.reading import lines
from distilkit.data.teacher_scores.blocks import ROWS, identifier, refuse
from distilkit.data.teacher_scores.head import json_rows
from distilkit.data.triples.blocks import Block, Progress, tabbed_blocks
from distilkit.errors import UserError, nearest

HEAD = 100
# By Tevatron, PyLate, sentence-transformers, ColBERT and others.
KEYS = {
    "query": ("query_id", "qid", "query-id", "query"),
    "positive": ("positive_id", "pos_id", "positive", "pos", "pos_pid", "doc_id_a"),
    "negative": ("negative_id", "neg_id", "negative", "neg", "neg_pid", "doc_id_b"),
}


class Format(NamedTuple):
    """How a file of triples is read, and whether its rows hold ids or texts."""

    name: Literal["tsv_ids", "tsv_texts", "jsonl"]
    read: Callable[[Path, Progress], Iterator[Block]]
    holds: Literal["ids", "texts"]


def format_of(path: Path) -> Format:
    """Tell a file's format by its first lines; raises UserError where there is no file, or an empty one."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected triples (query, positive, negative)")
    head = [line for _, line in islice(lines(path), HEAD)]
    if not head:
        raise UserError(f"{path}: the file is empty; expected triples (query, positive, negative)")
    if head[0].lstrip()[:1] in ("{", "["):
        return Format("jsonl", json_blocks, "ids")
    # No id holds a blank.
    if any(" " in field.strip() for line in head for field in line.split("\t")):
        return Format("tsv_texts", tabbed_blocks, "texts")
    return Format("tsv_ids", tabbed_blocks, "ids")


def json_blocks(path: Path, progress: Progress) -> Iterator[Block]:
    """Yield the triples of JSON lines: objects of ids (one or a list of each), ColBERT's `[query, positive, ...]`."""
    rows = _json_triples(path)
    while batch := list(islice(rows, ROWS)):
        numbers, *columns = zip(*batch, strict=True)
        yield Block(np.array(numbers, np.int64), *(pa.array(column, pa.string()) for column in columns))
    progress(path.stat().st_size, path.stat().st_size)


def _json_triples(path: Path) -> Iterator[tuple[int, str, str, str]]:
    names: dict[str, str] | None = None
    for _, place, value in json_rows(path, object):
        if isinstance(value, dict):
            names = names or _names(path, place, value)
            query, positives, negatives = (value.get(names[part]) for part in KEYS)
        elif isinstance(value, list) and len(value) >= 3:
            query, positives, negatives = value[0], value[1], value[2:]
        else:
            refuse(path, place, "expected an object, or a list of a query, a positive and its negatives")
        query = identifier(path, place, query)
        for positive in _each(path, place, positives):
            for negative in _each(path, place, negatives):
                yield place, query, positive, negative


def _names(path: Path, place: int, value: dict[str, Any]) -> dict[str, str]:
    found = {part: next((name for name in known if name in value), None) for part, known in KEYS.items()}
    for part, name in found.items():
        if name is None:
            refuse(
                path, place, f"there is no id of the {part}; expected {KEYS[part][0]!r}{nearest(KEYS[part][0], value)}"
            )
    return {part: name for part, name in found.items() if name is not None}


def _each(path: Path, place: int, value: Any) -> list[str]:
    return [identifier(path, place, one) for one in (value if isinstance(value, list) else [value])]

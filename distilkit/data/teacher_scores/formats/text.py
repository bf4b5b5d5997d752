"""Scores in lines of fields: TREC runs, and the published triples with two scores between tabs.

Hofstätter et al. 2020 (https://zenodo.org/records/4068216) publish five columns by ids; matchmaker trains on the same
by texts, and on seven columns, in which the scores of a text's parts follow each score; those are not read.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilkit.data.arrays import Integers
from distilkit.data.reading import fields, refuse, trec_fields
from distilkit.data.scripts import looks_like_text
from distilkit.data.teacher_scores.blocks import ROWS, Block, parse_scores
from distilkit.data.teacher_scores.head import Head

Columns = list[tuple[str, ...]]

# Where the scores of positive and negative stand, and query, positive and negative.
FIVE, FIVE_IDS = (0, 1), (2, 3, 4)
SEVEN, SEVEN_IDS = (0, 2), (4, 5, 6)


def is_trec(head: Head) -> bool:
    """Return whether every line has six fields and the file is not JSON."""
    return head.value is None and bool(head.lines) and all(len(line.split()) == 6 for line in head.lines)


def is_five_ids(head: Head) -> bool:
    """Return whether lines have five columns: two scores and three ids."""
    return _has_scores(head, 5, FIVE) and not _has_texts(head, FIVE_IDS)


def is_five_texts(head: Head) -> bool:
    """Return whether lines have five columns: two scores and three texts."""
    return _has_scores(head, 5, FIVE) and _has_texts(head, FIVE_IDS)


def is_seven_columns(head: Head) -> bool:
    """Return whether lines have seven columns with the scores where matchmaker has them."""
    return _has_scores(head, 7, SEVEN)


def trec(path: Path) -> Iterator[Block]:
    """Yield a row for each line of a TREC run; rank and tag are not read."""
    for places, (queries, _, documents, _, scores, _) in _batches(trec_fields(path), ROWS):
        ids = pa.array(queries, pa.string()), pa.array(documents, pa.string())
        yield Block(places, ids, {"score": parse_scores(path, places, scores)})


def trec_ranks(path: Path) -> Iterator[Block]:
    """Yield a row for each line of a TREC run, with its rank from behind: the first has the highest score."""
    for places, (queries, _, documents, ranks, _, _) in _batches(trec_fields(path), ROWS):
        ids = pa.array(queries, pa.string()), pa.array(documents, pa.string())
        for place, rank in zip(places, ranks, strict=True):
            if not rank.lstrip("+").isdecimal():
                refuse(path, int(place), f"expected the rank to be a whole number, got {rank!r:.40}")
        yield Block(places, ids, {"score": -parse_scores(path, places, ranks)})


def five_columns(path: Path) -> Iterator[Block]:
    """Yield the pairs of `pos_score neg_score query positive negative`."""
    return _pairs(path, 5, FIVE, FIVE_IDS)


def seven_columns(path: Path) -> Iterator[Block]:
    """Yield the pairs of `pos_score pos_passage_scores neg_score neg_passage_scores query pos_text neg_text`."""
    return _pairs(path, 7, SEVEN, SEVEN_IDS)


def _pairs(path: Path, count: int, scores: Sequence[int], ids: Sequence[int]) -> Iterator[Block]:
    """Yield a positive and a negative row for each line."""
    for places, columns in _batches(fields(path, count, f"{count} fields between tabs", "\t"), ROWS // 2):
        query, positive, negative = (_named(path, places, columns[column]) for column in ids)
        for passage, score in zip((positive, negative), scores, strict=True):
            yield Block(places, (query, passage), {"score": parse_scores(path, places, columns[score])})


def _batches(rows: Iterator[tuple[int, list[str]]], size: int) -> Iterator[tuple[Integers, Columns]]:
    """Yield lines as (their numbers, columns), `size` lines at a time."""
    while batch := list(islice(rows, size)):
        places = np.array([number for number, _ in batch], np.int64)
        yield places, list(zip(*(found for _, found in batch), strict=True))


def _named(path: Path, places: Integers, column: Sequence[str]) -> pa.Array:
    if "" in column:
        refuse(path, int(places[column.index("")]), "a query or passage is empty; expected an id or a text")
    return pa.array(column, pa.string())


def _has_scores(head: Head, count: int, columns: Sequence[int]) -> bool:
    rows = [line.split("\t") for line in head.lines]
    return bool(rows) and all(len(row) == count and all(_is_number(row[at]) for at in columns) for row in rows)


def _has_texts(head: Head, columns: Sequence[int]) -> bool:
    """Return whether one of some columns holds a text."""
    return any(looks_like_text(line.split("\t")[column]) for line in head.lines for column in columns)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

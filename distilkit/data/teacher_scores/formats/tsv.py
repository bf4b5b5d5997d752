"""The published five columns, by ids and by texts: `pos_score neg_score query positive negative`, between tabs.

Hofstätter et al. 2020 (https://zenodo.org/records/4068216) publish the first, matchmaker trains on the second.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilkit.data.reading import lines
from distilkit.data.teacher_scores.blocks import ROWS, Block, parse_scores, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.head import Head

SCORES, IDS = (0, 1), (2, 3, 4)


def read(path: Path) -> Iterator[Block]:
    """Yield a positive and a negative row for each line of five columns."""
    return read_columns(path, 5, SCORES, IDS)


def read_columns(path: Path, count: int, scores: Sequence[int], ids: Sequence[int]) -> Iterator[Block]:
    """Yield two rows for each line: where the scores and the texts or ids of query, positive and negative stand."""
    rows = lines(path)
    while batch := list(islice(rows, ROWS // 2)):
        for number, line in batch:
            if (found := line.count("\t") + 1) != count:
                refuse(path, number, f"expected {count} fields between tabs, got {found}")
        fields = list(zip(*(line.split("\t") for _, line in batch), strict=True))
        places = np.array([number for number, _ in batch], np.int64)
        query, positive, negative = (_named(path, batch, fields[column]) for column in ids)
        for passage, score in ((positive, scores[0]), (negative, scores[1])):
            yield Block(places, (query, passage), {"score": parse_scores(path, places, fields[score])})


def has_numbers(head: Head, count: int, columns: Sequence[int]) -> bool:
    """Return whether the lines have so many columns, with a number in each of some."""
    return head.tabbed(count) and all(_is_number(line.split("\t")[column]) for line in head.lines for column in columns)


def has_texts(head: Head, columns: Sequence[int]) -> bool:
    """Return whether one of some columns holds a blank, as no id does."""
    return any(" " in line.split("\t")[column].strip() for line in head.lines for column in columns)


def _named(path: Path, batch: list[tuple[int, str]], column: Sequence[str]) -> pa.Array:
    if "" in column:
        refuse(path, batch[column.index("")][0], "a query or passage is empty; expected an id or a text")
    return pa.array(column, pa.string())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


FORMATS.register("tsv_ids")(
    Format(
        "five tabbed columns: pos_score neg_score query_id pos_passage_id neg_passage_id",
        lambda head: has_numbers(head, 5, SCORES) and not has_texts(head, IDS),
        read,
    )
)
FORMATS.register("tsv_texts")(
    Format(
        "five tabbed columns: pos_score neg_score query pos_text neg_text",
        lambda head: has_numbers(head, 5, SCORES) and has_texts(head, IDS),
        read,
        holds="texts",
    )
)

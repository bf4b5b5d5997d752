"""A TREC run whose scores are the targets: `query Q0 document rank score tag`."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilkit.data.reading import lines
from distilkit.data.teacher_scores.blocks import ROWS, Block, parse_scores, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each line; rank and tag are not read."""
    rows = lines(path)
    while batch := list(islice(rows, ROWS)):
        split = [line.split() for _, line in batch]
        odd = next((at for at, fields in enumerate(split) if len(fields) != 6), None)
        if odd is not None:
            expected = "expected six fields (query id, Q0, passage id, rank, score, tag)"
            refuse(path, batch[odd][0], f"{expected}, got {len(split[odd])}")
        queries, _, documents, _, scores, _ = zip(*split, strict=True)
        places = np.array([number for number, _ in batch], np.int64)
        ids = pa.array(queries, pa.string()), pa.array(documents, pa.string())
        yield Block(places, ids, {"score": parse_scores(path, places, scores)})


FORMATS.register("trec")(
    Format(
        "a TREC run: query_id Q0 doc_id rank score tag",
        lambda head: head.value is None and bool(head.lines) and all(len(line.split()) == 6 for line in head.lines),
        read,
    )
)

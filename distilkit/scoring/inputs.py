"""Files of triples, pairs or candidates: the pairs to score, each once, and the lines on which each occurs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from distilkit.data.arrays import Integers
from distilkit.data.reading import lines
from distilkit.data.scripts import looks_like_text
from distilkit.errors import UserError

Kind = Literal["triples", "pairs", "run"]

BATCH = 65_536
# Fields of a line between tabs, and which of them name query and passages. Triples may stand behind their scores,
# pairs before their texts.
COLUMNS: dict[Kind, dict[int, tuple[int, ...]]] = {
    "triples": {3: (0, 1, 2), 5: (2, 3, 4)},
    "pairs": {2: (0, 1), 4: (0, 1)},
    "run": {6: (0, 2)},
}
EXPECTED = {
    "triples": "query, positive and negative (or pos_score, neg_score and these) between tabs",
    "pairs": "query_id and passage_id (and, not read, their texts) between tabs",
    "run": "six fields (query id, Q0, passage id, rank, score, tag)",
}


@dataclass(frozen=True)
class Wanted:
    """The pairs of a file.

    Attributes:
        query_ids: the ids (or texts) of the queries, each once, in the order of the file
        passage_ids: those of the passages
        pairs: the pairs that differ, as numbers of both, shape ``[2, pairs]``
        triples: the pair of each line's positive and negative, shape ``[2, lines]``; None where there are no triples
    """

    query_ids: pa.Array
    passage_ids: pa.Array
    pairs: Integers
    triples: Integers | None


def read_wanted(path: Path, kind: Kind) -> Wanted:
    """Read a file of triples, pairs or a TREC run; raises UserError naming the line of what is wrong."""
    chunks: list[list[pa.Array]] = []
    for _, columns in fields(path, kind):
        chunks.append([pa.array(column, pa.string()).dictionary_encode() for column in columns])
    if not chunks:
        raise UserError(f"{path}: the file is empty; expected {EXPECTED[kind]}")
    query_ids, queries = _numbered([chunk[0] for chunk in chunks])
    passage_ids, passages = _numbered([chunk[column] for column in range(1, len(chunks[0])) for chunk in chunks])
    keys = np.tile(queries, len(chunks[0]) - 1) * len(passage_ids) + passages
    unique, place = np.unique(keys, return_inverse=True)
    triples = place.reshape(2, -1) if kind == "triples" else None
    return Wanted(query_ids, passage_ids, np.stack(np.divmod(unique, len(passage_ids))), triples)


def fields(path: Path, kind: Kind) -> Iterator[tuple[list[int], list[tuple[str, ...]]]]:
    """Yield line numbers and columns (queries, passages, ...); raises UserError for a line of another form."""
    rows, width = lines(path), 0
    while batch := list(islice(rows, BATCH)):
        split = [line.split() if kind == "run" else line.split("\t") for _, line in batch]
        width = width or len(split[0])
        for (number, _), found in zip(batch, split, strict=True):
            if len(found) != width or width not in COLUMNS[kind]:
                raise UserError(f"{path}:{number}: expected {EXPECTED[kind]}, got {len(found)} fields")
        columns = list(zip(*split, strict=True))
        chosen = [columns[column] for column in COLUMNS[kind][width]]
        for column in chosen:
            if "" in column:
                raise UserError(f"{path}:{batch[column.index('')][0]}: an id is empty; expected {EXPECTED[kind]}")
        yield [number for number, _ in batch], chosen


def holds_texts(path: Path) -> bool:
    """Return whether a file of triples holds texts in the place of ids, as one of its first lines shows."""
    _, columns = next(fields(path, "triples"), ([], []))
    return any(looks_like_text(cell) for column in columns for cell in column[:100])


def first_line(path: Path, kind: Kind, column: int, id: str) -> int:
    """Return the line on which an id comes first, for messages; `column` is 0 for queries and 1 for passages."""
    for numbers, columns in fields(path, kind):
        chosen = columns[:1] if column == 0 else columns[1:]
        hits = [numbers[one.index(id)] for one in chosen if id in one]
        if hits:
            return min(hits)
    raise KeyError(id)


def _numbered(chunks: list[pa.Array]) -> tuple[pa.Array, Integers]:
    """Return the distinct ids in the order in which they come, and each row's number among them."""
    whole = pa.chunked_array(chunks).unify_dictionaries()
    numbers = np.concatenate([chunk.indices.to_numpy() for chunk in whole.chunks]).astype(np.int64)
    return whole.chunk(0).dictionary, numbers

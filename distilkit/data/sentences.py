"""Queries made of the passages themselves, titles and first sentences, where there is no log of queries."""

import hashlib
import heapq
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit.data.reading import Reader, Row, json_lines, jsonl_texts, tsv_texts

if TYPE_CHECKING:
    from distilkit.data.arrays import Integers
    from distilkit.data.collection import Collection

PREFIX = "sentence:"
"""What the id of such a query begins with; that of its passage follows."""
SHORTEST, LONGEST = 12, 200
"""Characters of a title or sentence that is taken."""
_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence."""
    return _END.split(text.strip(), maxsplit=1)[0].strip()


def jsonl_sentences(count: int) -> Reader:
    """Return a reader of BEIR's passages that yields `count` queries: titles, and first sentences where there is none.

    Which passages lend one is told by a hash of their ids.
    """

    def titles(path: Path) -> Iterator[tuple[Row, str]]:
        for row, (_, entry) in zip(jsonl_texts(path), json_lines(path), strict=True):
            yield row, (entry.get("title") or "").strip()

    return _reader(count, titles)


def tsv_sentences(count: int) -> Reader:
    """Return a reader of MS MARCO's passages that yields the first sentences of `count` of them as queries."""
    return _reader(count, lambda path: ((row, "") for row in tsv_texts(path)))


def own_passages(collection: "Collection", query_ids: Sequence[str]) -> "Integers":
    """Return the row of the passage that each query is a sentence of, -1 for queries of other kinds."""
    import numpy as np

    found = collection.passages.find([query.removeprefix(PREFIX) for query in query_ids])
    return np.where([query.startswith(PREFIX) for query in query_ids], found, -1)


def _reader(count: int, titled: Callable[[Path], Iterator[tuple[Row, str]]]) -> Reader:
    def read(path: Path) -> Iterator[Row]:
        found = ((row, title or first_sentence(row.value)) for row, title in titled(path))
        queries = (Row(row.line, (PREFIX + row.key[0],), text) for row, text in found)
        usable = (row for row in queries if SHORTEST <= len(row.value) <= LONGEST)
        drawn = heapq.nsmallest(count, usable, key=lambda row: hashlib.sha256(row.key[0].encode()).digest())
        yield from sorted(drawn, key=lambda row: row.line)

    return read

"""Files of triples, recognised by their beginning and read as blocks of columns with the line of each row."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.arrays import Integers, Progress
from distilkit.data.reading import identifier, json_lines, lines, refuse
from distilkit.data.scripts import looks_like_text
from distilkit.errors import UserError, nearest

BYTES = 1 << 25
"""The bytes that are read at once: some 1.4 million rows of MS MARCO's ids."""
ROWS = 65_536
HEAD = 100
# By Tevatron, PyLate, sentence-transformers, ColBERT and others.
KEYS = {
    "query": ("query_id", "qid", "query-id", "query"),
    "positive": ("positive_id", "pos_id", "positive", "pos", "pos_pid", "doc_id_a"),
    "negative": ("negative_id", "neg_id", "negative", "neg", "neg_pid", "doc_id_b"),
}


@dataclass(frozen=True)
class Block:
    """Queries, positives and negatives as Arrow strings, ids or texts, with the line of each row, from 1."""

    lines: Integers
    queries: pa.Array
    positives: pa.Array
    negatives: pa.Array


class Format(NamedTuple):
    """A form of triples files: its reader, and whether its rows hold ids or texts."""

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
    if any(looks_like_text(field) for line in head for field in line.split("\t")):
        return Format("tsv_texts", tabbed_blocks, "texts")
    return Format("tsv_ids", tabbed_blocks, "ids")


def tabbed_blocks(path: Path, progress: Progress) -> Iterator[Block]:
    """Yield the rows of three fields between tabs, plain or packed; raises UserError naming the line of another.

    `progress` is called with the bytes of the file that are read and all of them.
    """
    first = 1
    for data in _whole_lines(path, progress):
        texts = pc.ascii_rtrim(pc.split_pattern(_decoded(path, first, data), "\n").flatten(), characters="\r")
        fields = pc.split_pattern(texts, "\t")
        numbers = np.arange(first, first + len(texts))
        counts = pc.list_value_length(fields).to_numpy()
        if (counts != 3).any():
            kept = pa.array(_without_blanks(path, texts, numbers, counts))
            fields, numbers = fields.filter(kept), numbers[kept.to_numpy(zero_copy_only=False)]
        columns = [pc.list_element(fields, place) for place in range(3)]
        for name, column in zip(("query", "positive", "negative"), columns, strict=True):
            if (empty := pc.index(column, "").as_py()) >= 0:
                refuse(path, int(numbers[empty]), f"the {name} is empty; expected an id or a text")
        yield Block(numbers, *columns)
        first += data.count(b"\n") + 1


def json_blocks(path: Path, progress: Progress) -> Iterator[Block]:
    """Yield the triples of JSON lines: objects of ids (one or a list of each), ColBERT's `[query, positive, ...]`."""
    rows = _json_triples(path)
    while batch := list(islice(rows, ROWS)):
        numbers, *columns = zip(*batch, strict=True)
        yield Block(np.array(numbers, np.int64), *(pa.array(column, pa.string()) for column in columns))
    progress(path.stat().st_size, path.stat().st_size)


def _json_triples(path: Path) -> Iterator[tuple[int, str, str, str]]:
    names: dict[str, str] | None = None
    for place, value in json_lines(path, "one value a line"):
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


def _names(path: Path, place: int, value: dict[str, object]) -> dict[str, str]:
    found = {part: next((name for name in known if name in value), None) for part, known in KEYS.items()}
    for part, name in found.items():
        if name is None:
            refuse(
                path, place, f"there is no id of the {part}; expected {KEYS[part][0]!r}{nearest(KEYS[part][0], value)}"
            )
    return {part: name for part, name in found.items() if name is not None}


def _each(path: Path, place: int, value: object) -> list[str]:
    return [identifier(path, place, one) for one in (value if isinstance(value, list) else [value])]


def _whole_lines(path: Path, progress: Progress) -> Iterator[bytes]:
    """Yield pieces of a file that end with a line, without its last newline."""
    size, rest, read = path.stat().st_size, b"", 0
    try:
        with path.open("rb") as raw:
            file: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            while data := file.read(BYTES):
                data = data.removeprefix(b"\xef\xbb\xbf") if not read else data
                read += len(data)
                whole, newline, data = (rest + data).rpartition(b"\n")
                rest = data
                if newline:
                    yield whole
                progress(raw.tell(), size)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read after byte {read} ({error}); expected a whole file") from None
    if rest:
        yield rest


def _decoded(path: Path, first: int, data: bytes) -> pa.Array:
    try:
        return pa.array([data], pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        for number, line in enumerate(data.split(b"\n"), start=first):
            try:
                line.decode()
            except UnicodeDecodeError:
                refuse(path, number, "not UTF-8 text; expected UTF-8")
        raise


def _without_blanks(
    path: Path, texts: pa.Array, numbers: Integers, counts: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Return which lines are no blank ones; raises UserError for one that has not three fields either."""
    kept = np.ones(len(counts), bool)
    for place in np.flatnonzero(counts != 3):
        if texts[int(place)].as_py().strip():
            expected = "three fields between tabs (query, positive, negative)"
            refuse(path, int(numbers[place]), f"expected {expected}, got {counts[place]}")
        kept[place] = False
    return kept

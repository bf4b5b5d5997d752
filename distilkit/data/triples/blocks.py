"""Some rows of a triples file at a time, as columns that remember their lines."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.teacher_scores.blocks import refuse
from distilkit.errors import UserError

Integers = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]

BYTES = 1 << 25
"""What is read at once: some 1.4 million rows of MS MARCO's ids."""

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Queries, positives and negatives as Arrow strings, ids or texts, with the line of each row, from 1."""

    lines: Integers
    queries: pa.Array
    positives: pa.Array
    negatives: pa.Array


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


def _whole_lines(path: Path, progress: Progress) -> Iterator[bytes]:
    """Yield pieces of a file that end with a line, without its last newline."""
    size, rest, read = path.stat().st_size, b"", 0
    try:
        with path.open("rb") as raw:
            file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
            while data := file.read(BYTES):
                data = data.removeprefix(BOM) if not read else data
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

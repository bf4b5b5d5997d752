"""Files of triples, recognised by their beginning and read as blocks of columns with the line of each row."""

import csv
import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from distilkit.data.arrays import Integers, Progress
from distilkit.data.reading import identifier, json_lines, lines, refuse
from distilkit.data.scripts import looks_like_text
from distilkit.data.teacher_scores.head import batches, open_parquet, parquet_files
from distilkit.data.triples.entries import Holds, Triple, TripleFields
from distilkit.errors import UserError
from distilkit.files import open_text
from distilkit.untrusted import LONGEST as LONGEST_LINE
from distilkit.untrusted import parse_json

BYTES = 1 << 25
"""The bytes that are read at once: some 1.4 million rows of MS MARCO's ids."""
ROWS = 65_536
HEAD = 100
LONGEST = 1 << 30
"""Characters of a field of comma-separated values: more than any document has."""


@dataclass(frozen=True)
class TripleBlock:
    """Queries, positives and negatives as Arrow strings, ids or texts, with the line of each row, from 1."""

    lines: Integers
    queries: pa.Array
    positives: pa.Array
    negatives: pa.Array


class TripleFormat(NamedTuple):
    """A form of triples files: its reader, whether its rows hold ids or texts, and what messages put before a row."""

    name: str
    read: Callable[[Path, Progress], Iterator[TripleBlock]]
    holds: Holds
    unit: str = ":"


def format_of(path: Path) -> TripleFormat:
    """Tell a file's format by its name and first lines; raises UserError where there is no file, or an empty one."""
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; expected triples (query, positive, negative)")
    if parquet_files(path):
        return _of_table(path, "parquet", parquet_rows, ": row ")
    head = [(number, line) for number, line in islice(lines(path), HEAD)]
    if not head:
        raise UserError(f"{path}: the file is empty; expected triples (query, positive, negative)")
    if path.name.removesuffix(".gz").endswith(".csv"):
        return _of_table(path, "csv", csv_rows, ":")
    if head[0][1].lstrip()[:1] in ("{", "["):
        return TripleFormat("jsonl", json_blocks, _holds_of_json(path, head))
    if any(looks_like_text(field) for _, line in head for field in line.split("\t")):
        return TripleFormat("tsv_texts", tabbed_blocks, "texts")
    return TripleFormat("tsv_ids", tabbed_blocks, "ids")


Entries = Iterator[tuple[int, dict[str, Any]]]
"""Entries by the names of their fields, each with its line or row."""


def _of_table(path: Path, name: str, rows: Callable[[Path], Entries], unit: str) -> TripleFormat:
    head = list(islice(rows(path), HEAD))
    if not head:
        raise UserError(f"{path}: the table is empty; expected triples (query, positive, negative)")
    layout = TripleFields.of(path, head[0][0], [entry for _, entry in head])

    def read(path: Path, progress: Progress) -> Iterator[TripleBlock]:
        yield from _blocks(triple for place, entry in rows(path) for triple in layout.triples(path, place, entry))
        progress(path.stat().st_size, path.stat().st_size)

    return TripleFormat(name, read, layout.holds, unit)


def _holds_of_json(path: Path, head: list[tuple[int, str]]) -> Holds:
    """Return whether JSON lines hold ids or texts; broken ones are refused as they are read."""
    values = []
    for number, line in head:
        try:
            values.append((number, parse_json(line)))
        except ValueError:
            break
    if objects := [(number, value) for number, value in values if isinstance(value, dict)]:
        return TripleFields.of(path, objects[0][0], [value for _, value in objects]).holds
    fields = (field for _, value in values if isinstance(value, list) for field in value)
    return "texts" if any(isinstance(field, str) and looks_like_text(field) for field in fields) else "ids"


def csv_rows(path: Path) -> Entries:
    """Yield the rows of comma-separated values by the names of the first one."""
    csv.field_size_limit(LONGEST)
    try:
        with open_text(path) as file:
            reader = csv.DictReader(file, restkey="")
            for row in reader:
                if "" in row or None in row.values():
                    refuse(path, reader.line_num, f"expected {len(reader.fieldnames or ())} fields, as in the header")
                yield reader.line_num, row
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected comma-separated values in UTF-8") from None


def parquet_rows(path: Path) -> Entries:
    """Yield the rows of a Parquet table by the names of its columns."""
    names = open_parquet(path).schema_arrow.names
    for _, first, batch in batches(path, names):
        yield from enumerate(batch.to_pylist(), start=first)


def tabbed_blocks(path: Path, progress: Progress) -> Iterator[TripleBlock]:
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
        yield TripleBlock(numbers, *columns)
        first += data.count(b"\n") + 1


def json_blocks(path: Path, progress: Progress) -> Iterator[TripleBlock]:
    """Yield the triples of JSON lines: objects by the usual names, or ColBERT's `[query, positive, negative, ...]`."""
    yield from _blocks(_json_triples(path))
    progress(path.stat().st_size, path.stat().st_size)


def _blocks(rows: Iterator[Triple]) -> Iterator[TripleBlock]:
    while batch := list(islice(rows, ROWS)):
        numbers, *columns = zip(*batch, strict=True)
        yield TripleBlock(np.array(numbers, np.int64), *(pa.array(column, pa.string()) for column in columns))


def _json_triples(path: Path) -> Iterator[Triple]:
    layout: TripleFields | None = None
    for place, value in json_lines(path, "one value a line"):
        if isinstance(value, dict):
            layout = layout or TripleFields.of(path, place, [value])
            yield from layout.triples(path, place, value)
        elif isinstance(value, list) and len(value) >= 3:
            query, positive, *negatives = (identifier(path, place, one) for one in value)
            yield from ((place, query, positive, negative) for negative in negatives)
        else:
            refuse(path, place, "expected an object, or a list of a query, a positive and its negatives")


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
                if len(rest) > LONGEST_LINE:
                    raise UserError(f"{path}: a line of more than {LONGEST_LINE:,} bytes; expected a text file")
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
    """Return which lines are not blank; raises UserError for one that does not have three fields either."""
    kept = np.ones(len(counts), bool)
    for place in np.flatnonzero(counts != 3):
        if texts[int(place)].as_py().strip():
            expected = "three fields between tabs (query, positive, negative)"
            refuse(path, int(numbers[place]), f"expected {expected}, got {counts[place]}")
        kept[place] = False
    return kept

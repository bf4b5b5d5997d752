"""Documents in text, JSON-lines and Parquet files; every error names the file and the line or row."""

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from distilkit.data.plain_text.cells import document
from distilkit.data.reading import lines
from distilkit.errors import UserError, nearest
from distilkit.files import sha256_file

EXPECTED = ".txt or .jsonl, each plain or as .gz, or .parquet"


def read(source: str, column: str) -> Iterator[str]:
    """Return the documents of a file, or of a folder's files by name; raises UserError where there are none."""
    files = _files(source)
    return (text for path, kind in files for text in READERS[kind](path, column))


def identity(source: str, column: str) -> dict[str, Any]:
    """Return the kind and sha256 of every file, in the order read, and the column where it matters."""
    files = _files(source)
    hashes = [[kind, sha256_file(path)] for path, kind in files]
    return {"files": hashes, "column": column if any(kind != "text" for _, kind in files) else None}


def _files(source: str) -> list[tuple[Path, str]]:
    path = Path(source).expanduser()
    if path.is_dir():
        inside = sorted((file for file in path.iterdir() if file.is_file()), key=lambda file: file.name)
        files = [(file, kind) for file in inside if (kind := _kind(file)) and not file.name.startswith(".")]
        if not files:
            raise UserError(f"the folder {source} has no text in it; expected files that end in {EXPECTED}")
        return files
    if not path.is_file():
        raise UserError(
            f"there is no text at {source!r}; expected 'collection', a file or folder ({EXPECTED}), "
            "or huggingface:NAME[:CONFIG]"
        )
    kind = _kind(path)
    if kind is None:
        raise UserError(f"{source} is no text file by its name; expected one that ends in {EXPECTED}")
    return [(path, kind)]


def _kind(path: Path) -> str | None:
    packed = path.suffix == ".gz"
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix == ".txt" or (packed and not suffix):
        return "text"
    if suffix == ".jsonl":
        return "jsonl"
    return "parquet" if suffix == ".parquet" and not packed else None


def _text_documents(path: Path, _: str) -> Iterator[str]:
    """Read documents set apart by blank lines, their own lines joined; without blank lines every line is one.

    Text sets come in both forms, and in the second the whole file would be one document.
    """
    if not _blank_lines_between(path):
        yield from (line for _, line in lines(path))
        return
    held: list[str] = []
    last = 0
    for number, line in lines(path):
        if held and number != last + 1:
            yield " ".join(held)
            held = []
        held.append(line.strip())
        last = number
    yield " ".join(held)


def _blank_lines_between(path: Path) -> bool:
    return any(number != last + 1 for (last, _), (number, _) in pairwise(lines(path)))


def _jsonl_documents(path: Path, column: str) -> Iterator[str]:
    for number, line in lines(path):
        place = f"{path}:{number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UserError(f"{place}: broken JSON ({error}); expected one object a line") from None
        if not isinstance(entry, dict):
            raise UserError(f"{place}: expected a JSON object with {column!r}, got {type(entry).__name__}")
        if column not in entry:
            raise UserError(f"{place}: the field {column!r} is missing{nearest(column, entry)}")
        yield document(entry[column], place, column)


def _parquet_documents(path: Path, column: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise UserError(f"{path}: there is no column {column!r}{nearest(column, file.schema_arrow.names)}")
            for batch in file.iter_batches(batch_size=1000, columns=[column]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    yield document(value, f"{path}, row {row}", column)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read after row {row} ({error}); expected a whole Parquet file") from None


READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    "text": _text_documents,
    "jsonl": _jsonl_documents,
    "parquet": _parquet_documents,
}

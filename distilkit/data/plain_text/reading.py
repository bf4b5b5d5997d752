"""Documents of plain text: of the collection, of files (text, JSON lines, Parquet) and of data sets on the hub.

Every error names the file and the line or row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distilkit.data.huggingface import load_builder, require_split, split_content, streamed
from distilkit.data.plain_text.installed import VERSION, installed_documents, installed_fingerprint
from distilkit.data.reading import json_lines, lines, refuse
from distilkit.data.texts import Texts
from distilkit.errors import UserError, nearest
from distilkit.files import expanded, sha256_file
from distilkit.untrusted import is_unicode

if TYPE_CHECKING:
    from datasets import DatasetBuilder

COLLECTION, INSTALLED = "collection", "installed_docs"
HUB = "huggingface:"
EXPECTED = ".txt or .jsonl, each plain or as .gz, or .parquet"
BATCH = 1000


def read_texts(
    source: str,
    *,
    collection: Texts | None = None,
    queries: Texts | None = None,
    column: str = "text",
    split: str = "train",
) -> Iterator[str]:
    """Yield the documents of a source that are not blank, one at a time.

    Args:
        source: `collection`, whose passages are the documents; `installed_docs`, the documentation of all installed
            packages; a file, or a folder, whose files are read by name; or `huggingface:NAME[:CONFIG]`, a data set of
            the hub or a folder that `datasets` can load
        collection: the passages that `collection` means
        queries: those of the collection, whose words no document of `installed_docs` may say
        column: the column or field that holds the text, where there are several
        split: of a data set

    Raises UserError for a source that is not there, before the first document is asked for, and for broken content,
    naming the file and line, when it is come upon; a source without any text is one too.
    """
    if source == COLLECTION:
        if collection is None:
            raise ValueError("the source 'collection' needs the collection's passages")
        return _not_blank(source, (text for _, texts in collection.batches(BATCH) for text in texts))
    if source == INSTALLED:
        said = () if queries is None else (text for _, texts in queries.batches(BATCH) for text in texts)
        return installed_documents(said)
    if source.startswith(HUB):
        rows = _builder(source, split).as_streaming_dataset(split=split)
        return _not_blank(source, _hub_documents(source, rows, column))
    files = _files(source)
    return _not_blank(source, (text for path, kind in files for text in READERS[kind](path, column)))


def text_identity(
    source: str, *, fingerprint: str | None = None, column: str = "text", split: str = "train"
) -> dict[str, Any]:
    """Return what a source's documents depend on, for a key: hashes of content, never paths.

    `fingerprint` is that of the collection whose passages `collection` means, and whose queries no document of
    `installed_docs` says. Raises UserError for a source that is not there.
    """
    if source == COLLECTION:
        if fingerprint is None:
            raise ValueError("the source 'collection' needs the fingerprint of the collection's passages")
        return {"collection": fingerprint}
    if source == INSTALLED:
        return {"installed": installed_fingerprint(), "version": VERSION, "without": fingerprint}
    if source.startswith(HUB):
        builder = _builder(source, split)
        # The reader (json, parquet ...): the builder's class is named after the folder, its module is not.
        reader = [type(builder).__module__, builder.config.name]
        return {"dataset": split_content(builder, split), "builder": reader, "column": column}
    files = _files(source)
    hashes = [[kind, sha256_file(path)] for path, kind in files]
    return {"files": hashes, "column": column if any(kind != "text" for _, kind in files) else None}


def _not_blank(source: str, documents: Iterator[str]) -> Iterator[str]:
    found = False
    for document in documents:
        if document.strip():
            found = True
            yield document
    if not found:
        raise UserError(f"{source} holds no text; expected at least one document that is not blank")


def _document(value: object, place: str, column: str) -> str:
    """Return the text of a cell; raises UserError, naming its place, for what is not a string of whole characters."""
    if not isinstance(value, str):
        kind = "nothing" if value is None else type(value).__name__
        raise UserError(f"{place}: expected {column!r} to hold a text, got {kind}")
    if not is_unicode(value):
        problem = f"{column!r} is not valid Unicode (half of a surrogate pair); expected whole characters"
        raise UserError(f"{place}: {problem}")
    return value


def _builder(source: str, split: str) -> "DatasetBuilder":
    name, _, config = source.removeprefix(HUB).partition(":")
    if not name:
        raise UserError(f"{source!r} names no data set; expected huggingface:NAME[:CONFIG]")
    builder = load_builder(source, name, config or None)
    require_split(source, builder, split)
    return builder


def _hub_documents(source: str, rows: Iterable[Mapping[str, object]], column: str) -> Iterator[str]:
    for number, row in streamed(source, rows):
        where = f"{source}, row {number}"
        if column not in row:
            raise UserError(f"{where}: there is no column {column!r}{nearest(column, row)}")
        yield _document(row[column], where, column)


def _files(source: str) -> list[tuple[Path, str]]:
    path = expanded(source)
    if path.is_dir():
        inside = sorted((file for file in path.iterdir() if file.is_file()), key=lambda file: file.name)
        files = [(file, kind) for file in inside if (kind := _kind(file)) and not file.name.startswith(".")]
        if not files:
            raise UserError(f"the folder {source} has no text in it; expected files that end in {EXPECTED}")
        return files
    if not path.is_file():
        raise UserError(
            f"there is no text at {source!r}; expected 'collection', 'installed_docs', a file or folder "
            f"({EXPECTED}), or huggingface:NAME[:CONFIG]"
        )
    kind = _kind(path)
    if kind is None:
        raise UserError(f"{source} is not a text file by its name; expected one that ends in {EXPECTED}")
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
    for number, entry in json_lines(path):
        if not isinstance(entry, dict):
            refuse(path, number, f"expected a JSON object with {column!r}, got {type(entry).__name__}")
        if column not in entry:
            refuse(path, number, f"the field {column!r} is missing{nearest(column, entry)}")
        yield _document(entry[column], f"{path}:{number}", column)


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
                    yield _document(value, f"{path}, row {row}", column)
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read after row {row} ({error}); expected a whole Parquet file") from None


READERS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    "text": _text_documents,
    "jsonl": _jsonl_documents,
    "parquet": _parquet_documents,
}

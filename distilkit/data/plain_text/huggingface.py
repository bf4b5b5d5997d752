"""Documents in a data set of the Hugging Face hub, or in a folder that `datasets` can load, streamed."""

from collections.abc import Iterator
from typing import Any

from distilkit.data.huggingface import load_builder, require_split, split_content, streamed
from distilkit.data.plain_text.cells import document
from distilkit.errors import UserError, nearest

PREFIX = "huggingface:"


def read(source: str, column: str, split: str) -> Iterator[str]:
    """Return the documents of `huggingface:NAME[:CONFIG]`; raises UserError where it has no such split."""
    builder = _builder(source)
    require_split(source, builder, split)
    return _documents(source, builder.as_streaming_dataset(split=split), column)


def identity(source: str, column: str, split: str) -> dict[str, Any]:
    """Return what names a split's content: the sha256 of a file here, or the hub's address with its commit."""
    builder = _builder(source)
    require_split(source, builder, split)
    return {
        "dataset": split_content(builder, split),
        # The reader (json, parquet ...): the builder's class is named after the folder, its module is not.
        "builder": [type(builder).__module__, builder.config.name],
        "column": column,
    }


def _builder(source: str) -> Any:
    name, _, config = source.removeprefix(PREFIX).partition(":")
    if not name:
        raise UserError(f"{source!r} names no data set; expected huggingface:NAME[:CONFIG]")
    return load_builder(source, name, config or None)


def _documents(source: str, rows: Any, column: str) -> Iterator[str]:
    for number, row in streamed(source, rows):
        where = f"{source}, row {number}"
        if column not in row:
            raise UserError(f"{where}: there is no column {column!r}{nearest(column, row)}")
        yield document(row[column], where, column)

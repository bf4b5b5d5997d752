"""Documents in a data set of the Hugging Face hub, or in a folder that `datasets` can load, streamed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from distilkit.data.plain_text.cells import document
from distilkit.errors import UserError, nearest
from distilkit.files import sha256_file

PREFIX = "huggingface:"


def read(source: str, column: str, split: str) -> Iterator[str]:
    """Return the documents of `huggingface:NAME[:CONFIG]`; raises UserError where it has no such split."""
    builder = _builder(source)
    _split_files(source, builder, split)
    return _documents(source, builder.as_streaming_dataset(split=split), column)


def identity(source: str, column: str, split: str) -> dict[str, Any]:
    """Return what names a split's content: the sha256 of a file here, or the hub's address with its commit."""
    files = _split_files(source, builder := _builder(source), split)
    return {
        "dataset": [_content(file, origin) for file, origin in zip(files, files.origin_metadata, strict=True)],
        # The reader (json, parquet ...): the builder's class is named after the folder, its module is not.
        "builder": [type(builder).__module__, builder.config.name],
        "column": column,
    }


def _builder(source: str) -> Any:
    from datasets import load_dataset_builder
    from datasets.exceptions import DatasetsError

    name, _, config = source.removeprefix(PREFIX).partition(":")
    if not name:
        raise UserError(f"{source!r} names no data set; expected huggingface:NAME[:CONFIG]")
    try:
        return load_dataset_builder(name, config or None)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        # Unknown names and configurations, scripts (which are never run), and a hub that cannot be reached.
        raise UserError(f"{source}: the data set cannot be loaded: {_first_line(error)}") from error


def _split_files(source: str, builder: Any, split: str) -> Any:
    files = builder.config.data_files or {}
    if split not in files:
        raise UserError(f"{source}: there is no split {split!r}{nearest(split, map(str, files))}")
    return files[split]


def _content(file: str, origin: tuple[str, ...]) -> str | list[str]:
    if Path(file).is_file():
        return sha256_file(Path(file))
    # The hub's addresses hold the commit; the origin is a commit too, or a server's tag of the content.
    return [file, *origin]


def _documents(source: str, rows: Any, column: str) -> Iterator[str]:
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library's own error, of which there has been more than one.
    http_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
    number = 0
    try:
        for number, row in enumerate(rows, start=1):
            if column not in row:
                raise UserError(f"{source}, row {number}: there is no column {column!r}{nearest(column, row)}")
            yield document(row[column], f"{source}, row {number}", column)
    except (DatasetsError, OSError, ValueError, RuntimeError, http_error) as error:
        problem = _first_line(error)
        raise UserError(
            f"{source}: cannot be read after row {number} ({problem}); expected a whole data set"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""Data sets of the Hugging Face hub, and folders that `datasets` can load: found, told by content, streamed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from distilkit.errors import UserError, first_line, nearest
from distilkit.files import sha256_once

if TYPE_CHECKING:
    from datasets import DatasetBuilder

T = TypeVar("T")


def load_builder(where: str, name: str, config: str | None = None, **place: str | None) -> "DatasetBuilder":
    """Return the builder of a data set, whose code is never run; `where` is what messages call it.

    `place` may hold a `revision` or a `data_dir`. Raises UserError for one that is not there or cannot be reached.
    """
    from datasets import load_dataset_builder

    with _loading(where):
        return load_dataset_builder(name, config, **place)


def config_names(name: str, revision: str | None = None) -> list[str]:
    """Return the names of a data set's configurations; raises UserError as `load_builder` does."""
    from datasets import get_dataset_config_names

    with _loading(name):
        return [str(config) for config in get_dataset_config_names(name, revision=revision)]


def split_names(builder: "DatasetBuilder") -> list[str]:
    """Return the splits that a data set has files of."""
    return [str(split) for split in builder.config.data_files or {}]


def require_split(where: str, builder: "DatasetBuilder", split: str) -> None:
    """Raise UserError where a data set has no such split."""
    if split not in (known := split_names(builder)):
        raise UserError(f"{where}: there is no split {split!r}{nearest(split, known)}")


def split_content(builder: "DatasetBuilder", split: str) -> list[str | list[str]]:
    """Return what tells a split's content: the sha256 of a file here, or the hub's address with its commit."""
    files = builder.config.data_files[split]
    return [_content(file, origin) for file, origin in zip(files, files.origin_metadata, strict=True)]


def streamed(where: str, rows: Iterable[T], size: Callable[[T], int] = lambda row: 1) -> Iterator[tuple[int, T]]:
    """Yield (number of the first row, from 1; rows), `size` of them at a time; raises UserError where reading fails."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP library's own error, of which there has been more than one.
    http_error: type[Exception] = HfHubHTTPError.__bases__[0]
    done = 0
    try:
        for row in rows:
            yield done + 1, row
            done += size(row)
    except (DatasetsError, OSError, ValueError, RuntimeError, http_error) as error:
        problem = first_line(error)
        raise UserError(f"{where}: cannot be read after row {done} ({problem}); expected a whole data set") from error


@contextmanager
def _loading(where: str) -> Iterator[None]:
    from datasets.exceptions import DatasetsError

    try:
        yield
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        # Unknown names and configurations, scripts (which are never run), and a hub that cannot be reached.
        raise UserError(f"{where}: the data set cannot be loaded: {first_line(error)}") from error


def _content(file: str, origin: tuple[str, ...]) -> str | list[str]:
    if Path(file).is_file():
        return sha256_once(Path(file))
    # The hub's addresses hold the commit; the origin is a commit too, or a server's tag of the content.
    return [file, *origin]

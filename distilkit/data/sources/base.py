"""Data sources: their protocol, the registry that `[data] source` names, and what all of them share."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distilkit.data.judgements import Qrels, Run
from distilkit.errors import UserError
from distilkit.registry import Registry

if TYPE_CHECKING:
    from distilkit.data.writing import ContentError


class Source(Protocol):
    """A collection that can be written; its constructor's keyword arguments are the keys of `[data]`."""

    def key(self) -> dict[str, object]:
        """Return what the content depends on (hashes or versions, never paths); UserError for a missing file."""
        ...

    def write(self, folder: Path) -> None:
        """Write the collection into a folder; UserError for bad content, naming the file and the line."""
        ...


SOURCES: Registry[type[Source]] = Registry("data source")


def write_source(
    folder: Path,
    blame: "Callable[[ContentError], str]",
    *,
    name: str,
    passages: Iterable[tuple[str, str]],
    queries: Iterable[tuple[str, str]],
    qrels: Mapping[str, Qrels],
    candidates: Mapping[str, Run] | None = None,
    info: Mapping[str, Any],
) -> None:
    """Write a source's collection by `write_collection`; `blame` says where in the source wrong content is."""
    # Here and not above: the registry of sources must not load pyarrow.
    from distilkit.data.writing import ContentError, write_collection

    try:
        write_collection(
            folder, name=name, passages=passages, queries=queries, qrels=qrels, candidates=candidates, info=info
        )
    except ContentError as error:
        place = blame(error)
        rows = f" (rows {' and '.join(map(str, error.rows))})" if error.rows else ""
        raise UserError(f"{place}: {error}{rows}") from None

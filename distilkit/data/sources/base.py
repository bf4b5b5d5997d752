"""Data sources: their protocol, the registry that `[data] source` names, and what all of them share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distilkit.data.judgements import Place, Qrels, Run
from distilkit.data.reading import Row
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
        raise UserError(f"{blame(error)}: {error}") from None


def distinct_queries(splits: Iterable[tuple[Iterable[Row], Place]]) -> Iterator[tuple[str, str]]:
    """Yield (id, text) of the queries of splits that may share some; raises UserError for two texts of one query."""
    seen: dict[str, int] = {}
    for rows, place in splits:
        for line, (query,), text in rows:
            if query not in seen:
                seen[query] = hash(text)
                yield query, text
            elif seen[query] != hash(text):
                raise UserError(f"{place(line)}: the query {query!r} has another text above; expected one")

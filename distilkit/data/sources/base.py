"""What a data source is, and the registry of sources that a recipe's `[data] source` names."""

from pathlib import Path
from typing import Protocol

from distilkit.registry import Registry


class Source(Protocol):
    """Where a collection comes from; its constructor's keyword arguments are the keys of `[data]`."""

    def key(self) -> dict[str, object]:
        """Return what the content depends on (hashes or versions, never paths); UserError for a missing file."""
        ...

    def write(self, folder: Path) -> None:
        """Write the collection into a folder; UserError for bad content, naming the file and the line."""
        ...


SOURCES: Registry[type[Source]] = Registry("data source")

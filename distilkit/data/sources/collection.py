"""A collection that distilkit wrote before, as `Collection.from_dicts` does; it is read as it is."""

import shutil
from pathlib import Path

from distilkit.data.sources.base import SOURCES


@SOURCES.register("collection")
class CollectionSource:
    """The collection in a folder that distilkit wrote; `distilkit.run(data=...)` names one that is in memory."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def key(self) -> dict[str, object]:
        """Return the hashes of the content; raises UserError for a folder that is not a collection."""
        from distilkit.data.collection import open_collection

        found = open_collection(self.path)
        return {"source": "collection", "name": found.name, "content": found.hashes}

    def write(self, folder: Path) -> None:
        """Copy the files."""
        shutil.copytree(self.path, folder, dirs_exist_ok=True)

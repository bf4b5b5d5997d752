"""Texts encoded apart: some rows at a time, or a collection's documents in blocks that a folder may keep."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distilkit.data.arrays import Integers
from distilkit.data.side_tokens import Side
from distilkit.data.teacher_scores.provenance import require_match
from distilkit.errors import UserError
from distilkit.files import make_folder, read_json, set_aside, write_json
from distilkit.models.encoded import Encoded, encode_rows, load_encoded, save_encoded
from distilkit.models.ranker import SideRanker

MANIFEST = "manifest.json"
FORMAT = 1
# Bytes of a block's vectors in float32, and documents of a block, at most.
BLOCK_BYTES = 1 << 28
BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class DocumentIndex:
    """Documents in the order of `rows`, cut into blocks, each encoded when it is asked for.

    Attributes:
        ranker: one that searches
        side: the documents as it reads them
        rows: the documents' rows in `side`, those first that win ties
        batch_size: documents a forward pass
        device: where the ranker is
        dtype: of the kept vectors, float32 or float16
        folder: where blocks are kept; None keeps none
        say: told what is damaged
    """

    ranker: SideRanker
    side: Side
    rows: Integers
    batch_size: int
    device: torch.device
    dtype: torch.dtype = torch.float32
    folder: Path | None = None
    say: Callable[[str], None] = lambda said: None

    @property
    def size(self) -> int:
        """The documents of a block; it depends on nothing but the ranker and its lengths."""
        vectors = 1 if self.ranker.storage_unit == "|P|" else self.side.longest
        return max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * self.ranker.vector_size * vectors)))

    def __len__(self) -> int:
        return -(-len(self.rows) // self.size)

    def claim(self, made_of: dict[str, Any]) -> None:
        """State in the folder what its blocks are made of.

        Raises UserError, naming the difference, where there are blocks of something else, and for a folder of another
        kind.
        """
        if self.folder is None:
            return
        asked = {"format": FORMAT, "block": self.size, "dtype": str(self.dtype).removeprefix("torch."), **made_of}
        path = self.folder / MANIFEST
        if path.exists():
            require_match(_manifest(path), asked, f"--index {self.folder} was made with another model or collection")
            return
        # A process that was killed as it began leaves its manifest half written.
        others = (one for one in self.folder.glob("*") if not one.name.startswith(f".{MANIFEST}."))
        if self.folder.exists() and (not self.folder.is_dir() or any(others)):
            raise UserError(f"--index {self.folder}: exists, and is not an index of documents; choose a new folder")
        make_folder(self.folder)
        write_json(path, asked)

    def kept(self) -> int:
        """Return how many blocks the folder holds."""
        return sum(1 for number in range(len(self)) if (path := self._path(number)) and path.exists())

    def blocks(
        self, numbers: range, progress: Callable[[int], object] = lambda done: None
    ) -> Iterator[tuple[int, Encoded]]:
        """Yield some blocks, each with the place of its first document; what is not kept yet is encoded, and kept."""
        for number in numbers:
            yield number * self.size, self._block(number)
            progress(min((number + 1) * self.size, len(self.rows)))

    def _block(self, number: int) -> Encoded:
        path = self._path(number)
        rows = self.rows[number * self.size : (number + 1) * self.size]
        if path is not None and path.exists():
            try:
                found = load_encoded(path)
                if len(found) == len(rows):
                    return found
                problem = f"{path} holds {len(found)} documents, not {len(rows)}"
            except UserError as error:
                problem = str(error)
            self.say(f"{problem}; it is set aside as {set_aside(path).name}, and its documents are encoded again")
        encoded = encode_rows(
            self.ranker.encode_document, self.side, rows, batch_size=self.batch_size, device=self.device
        ).to(dtype=self.dtype)
        if path is not None:
            save_encoded(path, encoded, self.dtype)
        return encoded

    def _path(self, number: int) -> Path | None:
        return None if self.folder is None else self.folder / f"documents-{number:06}.safetensors"


def _manifest(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected an object that says what the index is made of")
    return found

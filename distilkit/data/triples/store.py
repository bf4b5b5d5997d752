"""Triples as memory-mapped rows of a collection's tables, built once out of a file of any format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.arrays import Integers, Progress, appended, mapped
from distilkit.data.reading import refuse
from distilkit.data.rows import IdIndex, TextIndex, TextTables
from distilkit.data.triples.reading import Block, Format, format_of
from distilkit.errors import UserError
from distilkit.files import read_json, sha256_once, write_json

Rows = npt.NDArray[np.uint32]
OnMissing = Literal["error", "skip"]
Index = IdIndex | TextIndex

FORMAT = 1
MANIFEST, ROWS = "triples.json", "rows.npy"


def triples_identity(path: Path) -> dict[str, Any]:
    """Return what the triples of a file depend on, beside the collection and what becomes of missing ones.

    Raises UserError where there is no such file.
    """
    return {"format": FORMAT, "file": format_of(path).name, "sha256": sha256_once(path)}


def write_triples(
    folder: Path,
    path: Path,
    collection: TextTables,
    *,
    on_missing: OnMissing = "error",
    progress: Progress = lambda done, total: None,
) -> dict[str, int]:
    """Read a file of triples into a folder and return its counts: rows, kept, and unknown ones that were left out.

    Args:
        folder: where the rows go; it must exist
        path: MS MARCO's `qidpidtriples.*.tsv`, its `triples.train.*.tsv` (texts), or JSON lines of ids; plain or .gz
        collection: in whose tables queries and passages are looked up; of equal texts the first is taken
        on_missing: what becomes of a triple that has an id or a text which is not there: `error`, or `skip`
        progress: told the bytes that are read, and all

    Raises:
        UserError: with file and line, for a broken line and for what is not in the collection
    """
    form, counts = format_of(path), {"rows": 0, "kept": 0, "unknown": 0}
    index = IdIndex if form.holds == "ids" else TextIndex
    queries, passages = index(collection.queries), index(collection.passages)
    with appended(folder / ROWS, np.uint32, (3,)) as array:
        for block in form.read(path, progress):
            rows = _rows(block, queries, passages)
            unknown = (rows < 0).any(axis=1)
            if unknown.any() and on_missing == "error":
                _refuse_unknown(path, form, block, rows, int(unknown.argmax()))
            array.append(rows[~unknown])
            counts["rows"] += len(rows)
            counts["unknown"] += int(unknown.sum())
    counts["kept"] = counts["rows"] - counts["unknown"]
    if not counts["kept"]:
        raise UserError(f"{path}: none of its {counts['rows']} triples is in the collection; expected at least one")
    write_json(folder / MANIFEST, {"format": FORMAT, "file_format": form.name, "counts": counts})
    return counts


@dataclass(frozen=True)
class Triples:
    """Queries with a positive and a negative passage each, as rows of a collection's tables.

    Attributes:
        rows: [n, 3], mapped: the rows of query, positive and negative
        counts: triples of the file, kept ones, and unknown ones, which were left out
    """

    rows: Rows
    counts: dict[str, int]

    @classmethod
    def open(cls, folder: Path) -> "Triples":
        """Map what `write_triples` left in a folder; raises UserError for another format of it."""
        manifest = read_json(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise UserError(f"{folder}: expected triples of format {FORMAT}, got {manifest['format']}")
        return cls(mapped(folder / ROWS), manifest["counts"])

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def queries(self) -> Rows:
        """The query of each pair, [n, 2]: a view that takes no memory."""
        return np.broadcast_to(self.rows[:, :1], (len(self), 2))

    @property
    def passages(self) -> Rows:
        """Positive and negative, [n, 2]: a view that takes no memory."""
        return self.rows[:, 1:]

    @property
    def labels(self) -> Integers:
        """1 and 0 for each triple, [n, 2]: a view that takes no memory."""
        return np.broadcast_to(np.array([[1, 0]]), (len(self), 2))

    def batch(self, indices: npt.NDArray[np.integer] | slice) -> tuple[Integers, Integers]:
        """Return the queries and the passages of some triples, [n, 2] each, the positive first."""
        rows = self.rows[indices].astype(np.int64)
        return np.repeat(rows[:, :1], 2, axis=1), rows[:, 1:]


def _rows(block: Block, queries: Index, passages: Index) -> Integers:
    """Return the rows [n, 3] of query, positive and negative, -1 for what is not in the collection."""
    # Both columns at once: what they are looked up in is large, and hashed for each call.
    both = passages.find(pa.concat_arrays([block.positives, block.negatives]))
    positives, negatives = np.split(both, 2)
    return np.stack([queries.find(block.queries), positives, negatives], axis=1)


def _refuse_unknown(path: Path, form: Format, block: Block, rows: Integers, place: int) -> None:
    column = int((rows[place] < 0).argmax())
    value = (block.queries, block.positives, block.negatives)[column][place].as_py()
    kind, where = ("query", "queries") if column == 0 else ("passage", "corpus")
    what = f"the {kind} id {value!r}" if form.holds == "ids" else f"the {kind}'s text {value[:40]!r}"
    refuse(path, int(block.lines[place]), f"{what} is unknown; expected one of the {where}")

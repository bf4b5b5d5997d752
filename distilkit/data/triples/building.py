"""Triples as rows of a collection's tables, built once out of a file of any format."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.arrays import appended
from distilkit.data.teacher_scores.blocks import refuse
from distilkit.data.teacher_scores.text_ids import TextTables
from distilkit.data.texts import Texts
from distilkit.data.triples.blocks import Block, Integers, Progress
from distilkit.data.triples.formats import Format, format_of
from distilkit.data.triples.rows import Finder, IdRows, TextRows
from distilkit.errors import UserError
from distilkit.files import sha256_once, write_json

Rows = npt.NDArray[np.uint32]
OnMissing = Literal["error", "skip"]

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
    queries, passages = _finder(form, collection.queries), _finder(form, collection.passages)
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


def _finder(form: Format, table: Texts) -> Finder:
    return IdRows(table) if form.holds == "ids" else TextRows(table)


def _rows(block: Block, queries: Finder, passages: Finder) -> Integers:
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

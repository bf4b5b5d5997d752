"""Triples as memory-mapped rows of a collection's tables, built once out of a file of any format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.arrays import Integers, Progress, appended, mapped, packed
from distilkit.data.leaks import HeldOut
from distilkit.data.reading import refuse
from distilkit.data.rows import IdIndex, TextIndex, TextTables
from distilkit.data.triples.reading import TripleBlock, TripleFormat, format_of
from distilkit.errors import UserError
from distilkit.files import read_json, sha256_once, write_json

Rows = npt.NDArray[np.uint32]
OnMissing = Literal["error", "skip"]
Index = IdIndex | TextIndex

FORMAT = 2
MANIFEST, ROWS = "triples.json", "rows.npy"
PIECE = 1 << 20
LEFT_OUT = {
    "unknown": "have an id or a text that the collection lacks: left out",
    "measured": "have the text of a query that is measured (case and blanks aside): left out",
    "contradictory": "have a negative that is a positive of the same query: left out",
}


def triples_identity(path: Path) -> dict[str, Any]:
    """Return what the triples of a file depend on, beside the collection and what becomes of missing ones.

    Raises UserError where there is no such file.
    """
    form = format_of(path)
    return {"format": FORMAT, "file": form.name, "holds": form.holds, "sha256": sha256_once(path)}


def write_triples(
    folder: Path,
    path: Path,
    collection: TextTables,
    *,
    on_missing: OnMissing = "error",
    held: HeldOut | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, int]:
    """Read a file of triples into a folder and return its counts: rows, kept, and those that were left out.

    A triple whose negative is a positive of its query, here or in another row, is left out.

    Args:
        folder: where the rows go; it must exist
        path: MS MARCO's `qidpidtriples.*.tsv`, its `triples.train.*.tsv` (texts), JSON lines, CSV or Parquet of ids or
            texts by the names of sentence-transformers, FlagEmbedding, SBERT, Tevatron and others
        collection: in whose tables queries and passages are looked up; of equal texts the first is taken
        held: the queries that are measured, of which none is trained on
        on_missing: what becomes of a triple that has an id or a text which is not there: `error`, or `skip`
        progress: told the bytes that are read, and all

    Raises:
        UserError: with file and line, for a broken line, for what is not in the collection, and for a measured query
    """
    form, counts = format_of(path), {"rows": 0, "kept": 0, "unknown": 0, "measured": 0, "contradictory": 0}
    positives = np.empty(0, np.int64)
    index = IdIndex if form.holds == "ids" else TextIndex
    queries, passages = index(collection.queries), index(collection.passages)
    with appended(folder / ROWS, np.uint32, (3,)) as array:
        for block in form.read(path, progress):
            rows = _rows(block, queries, passages)
            unknown = np.asarray((rows < 0).any(axis=1))
            if unknown.any() and on_missing == "error":
                _refuse_unknown(path, form, block, rows, int(unknown.argmax()))
            measured = np.zeros(len(rows), bool)
            if held is not None:
                _refuse_measured(path, form, block, np.where(unknown, -1, rows[:, 0]), held)
                measured = ~unknown & (held.texts[rows[:, 0]] >= 0)
            rows, lost = rows[~(unknown | measured)], int(unknown.sum())
            array.append(rows)
            positives = np.union1d(positives, packed(rows[:, 0], rows[:, 1]))
            counts["rows"] += len(unknown)
            counts["unknown"] += lost
            counts["measured"] += int(measured.sum())
    counts["contradictory"] = _leave_out_positives(folder, positives)
    counts["kept"] = counts["rows"] - sum(counts[name] for name in LEFT_OUT)
    if not counts["kept"]:
        raise UserError(
            f"{path}: none of its {counts['rows']} triples can be trained on; {'; '.join(left_out(counts))}"
        )
    write_json(folder / MANIFEST, {"format": FORMAT, "file_format": form.name, "counts": counts})
    return counts


def left_out(counts: dict[str, int]) -> list[str]:
    """Return what is to be said of the triples of a file that are left out, by their counts."""
    return [f"{counts[name]} of {counts['rows']} triples {what}" for name, what in LEFT_OUT.items() if counts[name]]


def lists_of(rows: Rows, negatives: int) -> tuple[Integers, Integers, int]:
    """Return triples as lists: queries [n], passages [n, 1 + negatives], the positive first, and how many are short.

    A list is a positive of a query with the first of its negatives in the file, each once: `negatives` of them, or as
    many as the richest has. Positives that have fewer are left out and counted.
    """
    wide = np.asarray(rows, np.int64)
    wide = wide[np.sort(np.unique(wide, axis=0, return_index=True)[1])]
    _, first, group, counts = np.unique(
        packed(wide[:, 0], wide[:, 1]), return_index=True, return_inverse=True, return_counts=True
    )
    size, order = min(negatives, int(counts.max())), np.argsort(group, kind="stable")
    starts = np.cumsum(counts) - counts
    kept = np.flatnonzero(counts >= size)
    kept = kept[np.argsort(first[kept])]
    chosen = order[starts[kept][:, None] + np.arange(size)]
    heads = wide[first[kept]]
    return heads[:, 0], np.concatenate([heads[:, 1:2], wide[chosen, 2]], axis=1), int((counts < size).sum())


@dataclass(frozen=True)
class Triples:
    """Queries with a positive and a negative passage each, as rows of a collection's tables.

    Attributes:
        rows: [n, 3], mapped: the rows of query, positive and negative
        counts: triples of the file, kept ones, and those that were left out, by reason
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


def _rows(block: TripleBlock, queries: Index, passages: Index) -> Integers:
    """Return the rows [n, 3] of query, positive and negative, -1 for what is not in the collection."""
    # Both columns at once: what they are looked up in is large, and hashed for each call.
    both = passages.find(pa.concat_arrays([block.positives, block.negatives]))
    positives, negatives = np.split(both, 2)
    return np.stack([queries.find(block.queries), positives, negatives], axis=1)


def _leave_out_positives(folder: Path, positives: Integers) -> int:
    """Take the triples out of the rows whose negative is among the positives of its query; return their number."""
    rows, gone = mapped(folder / ROWS), 0
    with appended(folder / "kept.npy", np.uint32, (3,)) as array:
        for at in range(0, len(rows), PIECE):
            piece = rows[at : at + PIECE]
            pairs = packed(piece[:, 0], piece[:, 2])
            places = np.minimum(np.searchsorted(positives, pairs), len(positives) - 1)
            both = positives[places] == pairs
            array.append(piece[~both])
            gone += int(both.sum())
    (folder / "kept.npy").replace(folder / ROWS)
    return gone


def _refuse_measured(path: Path, form: TripleFormat, block: TripleBlock, queries: Integers, held: HeldOut) -> None:
    """Raise UserError for a triple of a query that is measured, by its id."""
    numbers = np.where(queries < 0, -1, held.named[queries])
    if (numbers >= 0).any():
        place = int((numbers >= 0).argmax())
        query, where = block.queries[place].as_py(), held.names[int(numbers[place])]
        problem = f"the query {query[:40]!r} is among the {where}; expected triples of training queries alone"
        refuse(path, int(block.lines[place]), problem, form.unit)


def _refuse_unknown(path: Path, form: TripleFormat, block: TripleBlock, rows: Integers, place: int) -> None:
    column = int((rows[place] < 0).argmax())
    value = (block.queries, block.positives, block.negatives)[column][place].as_py()
    kind, where = ("query", "queries") if column == 0 else ("passage", "corpus")
    what = f"the {kind} id {value!r}" if form.holds == "ids" else f"the {kind}'s text {value[:40]!r}"
    refuse(path, int(block.lines[place]), f"{what} is unknown; expected one of the {where}", form.unit)

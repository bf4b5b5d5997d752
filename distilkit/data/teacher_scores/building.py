"""Building the memory-mapped form of teacher scores out of a file of any format."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from distilkit.data.arrays import Integers, ranges
from distilkit.data.reading import refuse
from distilkit.data.rows import TextIndex, TextTables
from distilkit.data.teacher_scores.blocks import Block, Floats
from distilkit.data.teacher_scores.formats import FORMATS, sniff
from distilkit.data.teacher_scores.keys import Keys, as_bytes, joined, require_short
from distilkit.data.teacher_scores.provenance import read_provenance
from distilkit.errors import UserError
from distilkit.files import write_json

Numbers = npt.NDArray[np.int32]

FORMAT = 1
MANIFEST, TABLE = "manifest.json", "scores.arrow"
Unknown = Literal["error", "skip"]
COLUMNS = {2: ("query_id", "doc_id"), 3: ("query_id", "positive_id", "negative_id")}


def build(
    path: Path,
    folder: Path,
    *,
    format: str | None = None,
    collection: TextTables | None = None,
    on_unknown: Unknown = "error",
) -> dict[str, Any]:
    """Read a file of scores into a folder and return its manifest, which says what was read and what was left out.

    Args:
        path: a file of any format in `FORMATS`, or a folder of Parquet files
        folder: where the internal form goes
        format: the file's format; told by its beginning where absent
        collection: where the ids of texts are found, for a format that carries texts
        on_unknown: what becomes of a row whose text is not in the collection: `error`, or `skip`, which counts it

    Raises:
        UserError: with file and line, for what is wrong in the file
    """
    name = FORMATS.resolve(format) if format else sniff(path)
    if not path.exists():
        raise UserError(f"{path}: there is no such file; expected teacher scores")
    ids: list[list[pa.DictionaryArray]] = []
    scores: dict[str, list[Floats]] = {}
    unknown = 0
    for block, lost in _by_ids(path, name, collection, on_unknown):
        ids.append([column.dictionary_encode() for column in block.ids])
        for column, values in block.scores.items():
            scores.setdefault(column, []).append(values)
        unknown += lost
    if not any(len(columns[0]) for columns in ids):
        raise UserError(f"{path}: holds no scores that can be used")
    kind = "margins" if len(ids[0]) == 3 else "scores"
    counts = _write(folder, ids, {column: np.concatenate(parts) for column, parts in scores.items()})
    manifest = {
        "format": FORMAT,
        "file_format": name,
        "kind": kind,
        "columns": list(scores),
        "counts": {**counts, "unknown": unknown},
        "provenance": read_provenance(path),
    }
    write_json(folder / MANIFEST, manifest)
    return manifest


def _by_ids(path: Path, name: str, collection: TextTables | None, on_unknown: Unknown) -> Iterator[tuple[Block, int]]:
    """Yield a file's rows by ids, and how many rows were left out, as their texts are not in the collection."""
    if FORMATS[name].holds == "ids":
        yield from ((block, 0) for block in FORMATS[name].read(path))
        return
    if collection is None:
        raise UserError(f"{path}: carries texts ({name}); expected a collection in which to find their ids")
    queries, passages = TextIndex(collection.queries), TextIndex(collection.passages)
    for block in FORMATS[name].read(path):
        unknown: list[Integers] = []
        for column in range(len(block.ids)):
            block, lost = _with_ids(block, column, passages if column else queries)
            unknown.append(lost)
        places = np.unique(np.concatenate(unknown))
        if len(places) and on_unknown == "error":
            refuse(path, int(places[0]), "a text of this row is not in the collection")
        yield block, len(places)


def _with_ids(block: Block, column: int, index: TextIndex) -> tuple[Block, Integers]:
    """Return the rows with ids for a column's texts, and the places of those whose text is unknown, which are left out.

    A row whose text has several ids becomes several rows.
    """
    encoded = block.ids[column].dictionary_encode()
    found = index.find_all(encoded.dictionary.to_pylist())
    texts = encoded.indices.to_numpy()
    counts = found.counts[texts]
    kept = np.repeat(np.arange(len(block)), counts)
    rows = found.rows[ranges(found.starts[texts], counts)]
    ids = [one.take(pa.array(kept)) for one in block.ids]
    ids[column] = pa.array(index.texts.ids(rows.tolist()), pa.string())
    scores = {name: values[kept] for name, values in block.scores.items()}
    return Block(block.places[kept], tuple(ids), scores), block.places[counts == 0]


def _write(folder: Path, chunks: list[list[pa.DictionaryArray]], scores: dict[str, Floats]) -> dict[str, int]:
    """Write keys and table, each pair (or triple) once, and return the counts of rows and of those that repeat one.

    The chunks of ids are emptied on the way: rows may be many.
    """
    width = len(chunks[0])
    queries, query_numbers = _numbered([columns[0] for columns in chunks])
    passages = [columns[place] for place in range(1, width) for columns in chunks]
    chunks.clear()
    documents, document_numbers = _numbered(passages)
    numbers = [query_numbers, *np.split(document_numbers, width - 1)]
    tables: list[npt.NDArray[np.uint64]] = []
    # A row's pair among the pairs that differ, then its triple among the triples; the first of equal rows is kept.
    group: npt.NDArray[np.integer] = query_numbers
    for number in numbers[1:]:
        keys, kept, group = np.unique(joined(group, number), return_index=True, return_inverse=True)
        tables.append(keys)
    conflicting = np.zeros(len(group), bool)
    for values in scores.values():
        conflicting |= values != values[kept][group]
    Keys(as_bytes(queries), as_bytes(documents), tuple(tables)).write(folder)
    ids = [
        pa.DictionaryArray.from_arrays(pa.array(number[kept]), documents if place else queries)
        for place, number in enumerate(numbers)
    ]
    columns = [*ids, *(pa.array(values[kept]) for values in scores.values())]
    batch = pa.record_batch(columns, [*COLUMNS[width], *scores])
    with pa.OSFile(str(folder / TABLE), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return {
        "rows": len(group),
        "kept": len(kept),
        "repeated": len(group) - len(kept),
        "conflicting": int(conflicting.sum()),
    }


def _numbered(chunks: list[pa.Array]) -> tuple[pa.Array, Numbers]:
    """Return the distinct ids of dictionary-encoded columns, sorted, and each row's place among them."""
    whole = pa.chunked_array(chunks).unify_dictionaries()
    ids = whole.chunk(0).dictionary
    require_short(ids)
    order = np.argsort(as_bytes(ids), kind="stable")
    places = np.empty(len(order), np.int32)
    places[order] = np.arange(len(order))
    return ids.take(pa.array(order)), np.concatenate([places[chunk.indices.to_numpy()] for chunk in whole.chunks])

"""Where the texts of ids are: the files of a folder, or files that are named one by one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from distilkit.data.reading import jsonl_texts, tsv_texts
from distilkit.data.sources.tables import TableFile, find_file
from distilkit.data.teacher_scores.keys import as_bytes, numbers
from distilkit.data.texts import write_texts
from distilkit.errors import UserError

ROWS = 65_536
LAYOUTS = "a BEIR folder (corpus.jsonl, queries.jsonl) or an MS MARCO folder (collection.tsv, queries.SPLIT.tsv)"


@dataclass(frozen=True)
class Corpus:
    """The files that hold the texts of passages and queries."""

    passages: list[TableFile]
    queries: list[TableFile]


def of_folder(folder: Path) -> Corpus:
    """Return the files of a BEIR or MS MARCO folder; judgements are not needed. Raises UserError for another one."""
    if not folder.is_dir():
        raise UserError(f"--data {folder}: there is no such folder; expected {LAYOUTS}")
    corpus, queries = find_file(folder, "corpus.jsonl"), find_file(folder, "queries.jsonl")
    if corpus and queries:
        return Corpus([TableFile(corpus, jsonl_texts)], [TableFile(queries, jsonl_texts)])
    collection = find_file(folder, "collection.tsv")
    tables = sorted(path for path in folder.glob("queries.*") if path.name.removesuffix(".gz").endswith(".tsv"))
    if collection and tables:
        return Corpus([TableFile(collection, tsv_texts)], [TableFile(path, tsv_texts) for path in tables])
    raise UserError(f"--data {folder}: expected {LAYOUTS}")


def of_files(collection: Sequence[Path], queries: Sequence[Path]) -> Corpus:
    """Return named files: JSON lines where they end in .jsonl, else id and text between tabs."""
    for option, paths in (("--collection", collection), ("--queries", queries)):
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise UserError(f"{option} {missing}: there is no such file")
    return Corpus([_file(path) for path in collection], [_file(path) for path in queries])


def gather(files: Sequence[TableFile], wanted: pa.Array, path: Path) -> str | None:
    """Write the texts of some ids to an Arrow table, in the order of the files; return an id that none of them has.

    An id that comes twice, as in the queries of overlapping splits, counts where it comes first. Raises UserError,
    with file and line, for a text that is wanted and empty.
    """
    names = as_bytes(wanted)
    order = np.argsort(names, kind="stable")
    found = np.zeros(len(names), bool)
    write_texts(path, (row for file in files for row in _wanted(file, names[order], found)))
    return None if found.all() else str(wanted[int(order[int(np.argmin(found))])])


def _wanted(file: TableFile, names: np.ndarray, found: np.ndarray) -> Iterator[tuple[str, str]]:
    rows = file.read(file.path)
    while batch := [row for row, _ in zip(rows, range(ROWS), strict=False)]:
        places = numbers(names, [row.key[0] for row in batch])
        for row, place in zip(batch, places, strict=True):
            if place >= 0 and not found[place]:
                if not row.value.strip():
                    raise UserError(f"{file.path}:{row.line}: {row.key[0]!r} has no text; expected one to score")
                found[place] = True
                yield row.key[0], row.value


def _file(path: Path) -> TableFile:
    is_json = path.name.removesuffix(".gz").endswith(".jsonl")
    return TableFile(path, jsonl_texts if is_json else tsv_texts)

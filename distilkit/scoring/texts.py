"""What a scoring reads: its input, the files that hold the texts of its ids, and both gathered into one folder."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distilkit.data.arrays import Integers
from distilkit.data.reading import Row, jsonl_texts, tsv_texts
from distilkit.data.sources.tables import TableFile, find_file
from distilkit.data.teacher_scores.keys import as_bytes, numbers
from distilkit.data.teacher_scores.provenance import text_fingerprint
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError
from distilkit.files import read_json, sha256_file, write_json
from distilkit.scoring.inputs import Kind, Wanted, first_line, read_wanted

FACTS = "facts.json"
TABLES = ("queries", "passages")
ROWS = 65_536


@dataclass(frozen=True)
class Corpus:
    """The files that hold the texts of queries and passages; messages call them by `name`, or by their paths."""

    queries: list[TableFile]
    passages: list[TableFile]
    name: str = ""

    def sizes(self) -> list[list[Any]]:
        """Return each file's name and size, by which an interrupted scoring tells them from others."""
        return [[file.path.name, file.path.stat().st_size] for file in (*self.passages, *self.queries)]


@dataclass(frozen=True)
class PairsSource:
    """A file of triples, pairs or candidates, and the texts of its ids; without a corpus, its ids are the texts."""

    path: Path
    kind: Kind
    corpus: Corpus | None


@dataclass(frozen=True)
class Material:
    """Texts of queries and passages, and the pairs of their rows.

    Attributes:
        pairs: rows of queries and of passages, shape ``[2, pairs]``; each pair once
        triples: the pair of each line's positive and negative, shape ``[2, lines]``, or None
        facts: the input's kind and hash, whether it held texts, the texts' fingerprint
    """

    queries: Texts
    passages: Texts
    pairs: Integers
    triples: Integers | None
    facts: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Material":
        """Map what `prepare` left in a folder."""
        triples = folder / "triples.npy"
        return cls(
            Texts.open(folder / "queries.arrow"),
            Texts.open(folder / "passages.arrow"),
            np.load(folder / "pairs.npy", mmap_mode="r"),
            np.load(triples, mmap_mode="r") if triples.exists() else None,
            read_json(folder / FACTS),
        )

    def ids(self) -> tuple[pa.Array, pa.Array]:
        """Return the query and the passage id of each pair."""
        tables = ((self.queries, self.pairs[0]), (self.passages, self.pairs[1]))
        columns = (pa.array(table.ids(range(len(table))), pa.string()).take(pa.array(rows)) for table, rows in tables)
        queries, passages = columns
        return queries, passages


def folder_of(folder: Path) -> Corpus | None:
    """Return the files of a BEIR or MS MARCO folder, where judgements are not needed; None for any other folder."""
    corpus, queries = find_file(folder, "corpus.jsonl"), find_file(folder, "queries.jsonl")
    if corpus and queries:
        return Corpus([TableFile(queries, jsonl_texts)], [TableFile(corpus, jsonl_texts)])
    collection = find_file(folder, "collection.tsv")
    tables = sorted(path for path in folder.glob("queries.*") if path.name.removesuffix(".gz").endswith(".tsv"))
    if collection and tables:
        return Corpus([TableFile(path, tsv_texts) for path in tables], [TableFile(collection, tsv_texts)])
    return None


def collection_of(folder: Path, name: str) -> Corpus:
    """Return the texts of a collection that distilkit keeps in a folder, under the name that it was asked for by."""
    queries, passages = ([TableFile(folder / f"{table}.arrow", _kept)] for table in TABLES)
    return Corpus(queries, passages, name)


def _kept(path: Path) -> Iterator[Row]:
    numbers = itertools.count(1)
    for ids, texts in Texts.open(path).batches(ROWS):
        yield from (Row(next(numbers), (id,), text) for id, text in zip(ids, texts, strict=True))


def files_of(collection: Sequence[Path], queries: Sequence[Path]) -> Corpus:
    """Return named files: JSON lines where they end in .jsonl, else id and text between tabs."""
    for option, paths in (("--collection", collection), ("--queries", queries)):
        missing = next((path for path in paths if not path.is_file()), None)
        if missing is not None:
            raise UserError(f"{option} {missing}: there is no such file")

    def files(paths: Sequence[Path]) -> list[TableFile]:
        readers = (jsonl_texts if path.name.removesuffix(".gz").endswith(".jsonl") else tsv_texts for path in paths)
        return [TableFile(path, reader) for path, reader in zip(paths, readers, strict=True)]

    return Corpus(files(queries), files(collection))


def prepare(folder: Path, source: PairsSource) -> int:
    """Read what is to be scored and the texts that it needs into a folder; return how many passages are empty.

    Raises UserError, with file and line, for a broken file and for an id without a text.
    """
    wanted = read_wanted(source.path, source.kind)
    rows: list[Integers] = []
    for column, table in enumerate(TABLES):
        rows.append(_write_texts(folder / f"{table}.arrow", source, wanted, column)[wanted.pairs[column]])
    np.save(folder / "pairs.npy", np.stack(rows))
    if wanted.triples is not None:
        np.save(folder / "triples.npy", wanted.triples)
    queries, passages = (Texts.open(folder / f"{table}.arrow") for table in TABLES)
    facts = {
        "kind": source.kind,
        "sha256": sha256_file(source.path),
        "holds_texts": source.corpus is None,
        "texts": text_fingerprint(queries, passages, wanted.query_ids, wanted.passage_ids),
    }
    write_json(folder / FACTS, facts)
    return len(passages.empty())


def _write_texts(target: Path, source: PairsSource, wanted: Wanted, column: int) -> Integers:
    """Write the texts of queries (column 0) or passages (1) and return the row of each of their ids."""
    ids = (wanted.query_ids, wanted.passage_ids)[column]
    if source.corpus is None:
        write_texts(target, ((text, text) for text in ids.to_pylist()))
        return np.arange(len(ids))
    files = (source.corpus.queries, source.corpus.passages)[column]
    unknown = _gather(files, ids, target, may_be_empty=column == 1)
    if unknown is not None:
        what = ("query", "passage")[column]
        place = f"{source.path}:{first_line(source.path, source.kind, column, unknown)}"
        where = source.corpus.name or ", ".join(str(file.path) for file in files)
        raise UserError(f"{place}: the {what} id {unknown!r} is not in {where}")
    return Texts.open(target).find(ids)


def _gather(files: Sequence[TableFile], ids: pa.Array, target: Path, may_be_empty: bool) -> str | None:
    """Write the texts of some ids to an Arrow table, in the order of the files; return an id that none of them has.

    An id that comes twice, as in the queries of overlapping splits, counts where it comes first. Raises UserError,
    with file and line, for a text that is wanted and empty where it may not be.
    """
    names = as_bytes(ids)
    order = np.argsort(names, kind="stable")
    found = np.zeros(len(names), bool)
    write_texts(target, (row for file in files for row in _wanted_rows(file, names[order], found, may_be_empty)))
    return None if found.all() else str(ids[int(order[int(np.argmin(found))])])


def _wanted_rows(
    file: TableFile, names: np.ndarray, found: np.ndarray, may_be_empty: bool
) -> Iterator[tuple[str, str]]:
    """Yield the ids and texts of a file that are among the sorted names and not found yet, and mark them as found."""
    rows = file.read(file.path)
    while batch := [row for row, _ in zip(rows, range(ROWS), strict=False)]:
        places = numbers(names, [row.key[0] for row in batch])
        for row, place in zip(batch, places, strict=True):
            if place >= 0 and not found[place]:
                if not (may_be_empty or row.value.strip()):
                    raise UserError(f"{file.path}:{row.line}: {row.key[0]!r} has no text; expected one to score")
                found[place] = True
                yield row.key[0], row.value

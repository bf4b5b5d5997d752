"""What a scoring reads: texts, pairs and where each occurs, in a folder that survives a kill."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distilkit.data.teacher_scores.provenance import text_fingerprint
from distilkit.data.texts import Texts, write_texts
from distilkit.errors import UserError
from distilkit.files import read_json, sha256_file, write_json
from distilkit.scoring.corpus import Corpus, gather
from distilkit.scoring.wanted import Integers, Kind, Wanted, first_line, read_wanted

FACTS = "facts.json"
TABLES = ("queries", "passages")


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


def prepare(folder: Path, path: Path, kind: Kind, corpus: Corpus | None) -> None:
    """Read what is to be scored and the texts that it needs into a folder; without a corpus its ids are the texts.

    Raises UserError, with file and line, for a broken file and for an id without a text.
    """
    wanted = read_wanted(path, kind)
    rows: list[Integers] = []
    for column, table in enumerate(TABLES):
        rows.append(_write_texts(folder / f"{table}.arrow", path, kind, wanted, corpus, column)[wanted.pairs[column]])
    np.save(folder / "pairs.npy", np.stack(rows))
    if wanted.triples is not None:
        np.save(folder / "triples.npy", wanted.triples)
    queries, passages = (Texts.open(folder / f"{table}.arrow") for table in TABLES)
    facts = {
        "kind": kind,
        "sha256": sha256_file(path),
        "holds_texts": corpus is None,
        "texts": text_fingerprint(queries, passages, wanted.query_ids, wanted.passage_ids),
    }
    write_json(folder / FACTS, facts)


def _write_texts(target: Path, path: Path, kind: Kind, wanted: Wanted, corpus: Corpus | None, column: int) -> Integers:
    """Write the texts of queries (column 0) or passages (1) and return the row of each of their ids."""
    ids = (wanted.query_ids, wanted.passage_ids)[column]
    if corpus is None:
        write_texts(target, ((text, text) for text in ids.to_pylist()))
        return np.arange(len(ids))
    files = (corpus.queries, corpus.passages)[column]
    unknown = gather(files, ids, target)
    if unknown is not None:
        what = ("query", "passage")[column]
        place = f"{path}:{first_line(path, kind, column, unknown)}"
        where = ", ".join(str(file.path) for file in files)
        raise UserError(f"{place}: the {what} id {unknown!r} is not in {where}")
    return Texts.open(target).find(ids)

"""Writing teacher scores: Parquet with provenance, and the published five-column TSV."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distilkit.data.teacher_scores.keys import Ids
from distilkit.data.teacher_scores.provenance import KEY, sidecar
from distilkit.errors import RunFailed
from distilkit.files import atomic_path, canonical_json, write_json

Floats = npt.NDArray[np.floating]

ROWS = 65_536
RESERVED = ("query_id", "doc_id", "score")


def write_parquet(
    path: Path,
    query_ids: Ids,
    doc_ids: Ids,
    score: Floats,
    teachers: Mapping[str, Floats] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write a table of query_id, doc_id, score and a column per teacher, all float32, in one step.

    The provenance stands as JSON in the schema's metadata under `distilkit`. Raises RunFailed for a score that is not
    finite, ValueError for a teacher called as one of the other columns.
    """
    taken = [name for name in teachers or {} if name in RESERVED]
    if taken:
        raise ValueError(f"a teacher cannot be called {taken[0]!r}, as another column is")
    columns: dict[str, pa.Array] = {"query_id": _ids(query_ids), "doc_id": _ids(doc_ids), "score": _scores(score)}
    columns |= {name: _scores(values) for name, values in (teachers or {}).items()}
    table = pa.table(columns)
    if provenance is not None:
        table = table.replace_schema_metadata({KEY: canonical_json(provenance)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_tsv(
    path: Path,
    positive: Floats,
    negative: Floats,
    query_ids: Ids,
    positive_ids: Ids,
    negative_ids: Ids,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Write `pos_score neg_score query_id pos_passage_id neg_passage_id`, tab-separated, without a header.

    Scores are the shortest numbers that read back as the same float32. The provenance goes to a file beside it, named
    `FILE.provenance.json`. Texts in the place of ids give the published form by texts; they must hold no tab and no
    line break. Raises RunFailed for a score that is not finite.
    """
    scores = [_scores(positive), _scores(negative)]
    ids = [_ids(column) for column in (query_ids, positive_ids, negative_ids)]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for at in range(0, len(scores[0]), ROWS):
            cells = [pc.cast(column.slice(at, ROWS), pa.string()) for column in scores]
            cells += [column.slice(at, ROWS) for column in ids]
            rows = pc.binary_join_element_wise(*cells, "\t")
            file.write("".join(f"{row}\n" for row in rows.to_pylist()).encode())
    if provenance is not None:
        write_json(sidecar(path), provenance)


def _ids(ids: Ids) -> pa.Array:
    if isinstance(ids, pa.DictionaryArray):
        return ids.dictionary_decode()
    return ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())


def _scores(scores: Floats) -> pa.Array:
    narrow = np.asarray(scores, np.float32)
    if not np.isfinite(narrow).all():
        raise RunFailed(f"{int((~np.isfinite(narrow)).sum())} of {len(narrow)} scores are not finite")
    return pa.array(narrow)

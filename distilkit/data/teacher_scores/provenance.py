"""The provenance of teacher scores: what they were made of, and whether that is what is asked for."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from distilkit.data.teacher_scores.head import open_parquet, parquet_files
from distilkit.data.texts import Texts
from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.untrusted import parse_json

# Where the schema of a Parquet file holds it.
KEY = b"distilkit"
MISSING = object()


def sidecar(path: Path) -> Path:
    """Return where the provenance of a TSV, which has no room for it, lies."""
    return path.with_name(f"{path.name}.provenance.json")


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Return the provenance that a file of scores carries, or None; raises UserError where it cannot be read."""
    try:
        if tables := parquet_files(path):
            stored = (open_parquet(tables[0]).schema_arrow.metadata or {}).get(KEY)
            provenance = None if stored is None else parse_json(stored)
        else:
            provenance = read_json(sidecar(path)) if sidecar(path).is_file() else None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: its provenance cannot be read as JSON: {error}") from None
    if provenance is not None and not isinstance(provenance, dict):
        raise UserError(f"{path}: expected its provenance to be an object")
    return provenance


def require_match(
    provenance: Mapping[str, Any] | None, expected: Mapping[str, Any], where: str = "the teacher scores"
) -> None:
    """Raise UserError, naming the first difference, unless scores were made as is asked for.

    Keys of the provenance that are not asked for do not matter; tables are compared key by key.

    Example:
        >>> require_match({"max_length": 256, "rows": 9}, {"max_length": 256})
        >>> require_match({"max_length": 512}, {"max_length": 256}, "scores.parquet")
        Traceback (most recent call last):
        distilkit.errors.UserError: scores.parquet: max_length is 512 there, and 256 is asked for
    """
    if provenance is None:
        raise UserError(f"{where}: nothing says what they were made of; expected their provenance")
    for key, found, wanted in _differences(provenance, expected, ""):
        shown = "missing" if found is MISSING else _shown(found)
        raise UserError(f"{where}: {key} is {shown} there, and {_shown(wanted)} is asked for")


def _differences(found: object, wanted: object, at: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        for key, value in wanted.items():
            yield from _differences(found.get(key, MISSING), value, f"{at}.{key}" if at else key)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        for place, value in enumerate(wanted):
            yield from _differences(found[place], value, f"{at}[{place + 1}]")
    elif found != wanted:
        yield at, found, wanted


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 90 else f"{text[:80]}..."


def text_fingerprint(queries: Texts, passages: Texts, query_ids: pa.Array, doc_ids: pa.Array) -> str:
    """Return the sha256 of the texts of some queries and passages, whatever else their collection holds.

    The ids are taken once each, in order. Raises UserError for one that is not in the collection.
    """
    digest = hashlib.sha256()
    for kind, table, ids in (("query", queries, query_ids), ("passage", passages, doc_ids)):
        wanted = sorted(ids.unique().to_pylist())
        rows = table.find(wanted)
        if (rows < 0).any():
            raise UserError(f"the {kind} id {wanted[int(np.argmax(rows < 0))]!r} is not in the collection")
        digest.update(f"{kind}:{len(wanted)}:".encode())
        for id, row in zip(wanted, rows, strict=True):
            text = table.text(int(row))
            digest.update(f"{len(id)}:{id}{len(text)}:{text}".encode())
    return digest.hexdigest()

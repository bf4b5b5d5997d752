"""The texts behind the ids of queries and passages, where the collection that they are of lies beside the runs."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from distilkit.comparison import run_files
from distilkit.comparison.systems import System
from distilkit.data.collection import Collection, open_collection
from distilkit.data.texts import Texts
from distilkit.errors import UserError
from distilkit.run_folders.record import RunRecord

SAMPLE = 50
"""Ids by which a collection is told from others, where the run does not say which it was."""


def collection_of(systems: Sequence[System], eval_set: str | None) -> Collection | None:
    """Return the collection that systems were measured on, None where it does not lie beside their runs.

    It is the one whose fingerprint a run states; a query set with data of its own does not state it, so that the only
    collection that holds its ids is taken.
    """
    runs = [run for system in systems if (run := run_files.stored(system)) is not None]
    homes = dict.fromkeys(folder for run in runs for folder in (run.path.parent, run.path.parent.parent))
    found = [
        path for home in homes for path in sorted((home / ".artifacts").glob("collection/*/content/manifest.json"))
    ]
    opened = [one for path in found if (one := _opened(str(path.parent))) is not None]
    records = [run.record for run in runs]
    stated = [str(record.data.get("fingerprint")) for record in records]
    if stated and not any(_own_data(record, eval_set) for record in records):
        return next((one for one in opened if one.fingerprint == stated[0]), None)
    fitting = [one for one in opened if _fits(one, systems)]
    return fitting[0] if len(fitting) == 1 else None


def texts_of(table: Texts, ids: Iterable[str]) -> dict[str, str]:
    """Return the texts behind ids, of those that a table holds."""
    asked = list(ids)
    rows = table.find(asked)
    return {one: table.text(int(row)) for one, row in zip(asked, rows, strict=True) if row >= 0}


@lru_cache(maxsize=16)
def _opened(folder: str) -> Collection | None:
    try:
        return open_collection(Path(folder))
    except (UserError, OSError, ValueError, KeyError):
        return None


def _own_data(record: RunRecord, eval_set: str | None) -> bool:
    """Return whether a query set reads other data than its recipe's [data]."""
    place: object = record.resolved
    for key in ("evaluate", "sets", eval_set, "data"):
        place = place.get(key) if isinstance(place, dict) else None
    return bool(place)


def _fits(collection: Collection, systems: Sequence[System]) -> bool:
    """Return whether a collection holds the queries and the first results of systems."""
    queries, passages = set(), set()
    for system in systems:
        queries |= set(list(next(iter(system.per_query.values())))[:SAMPLE])
        run = run_files.ranking(system) or {}
        passages |= {document for query in list(run)[:SAMPLE] for document, _ in run[query][:1]}
    return all(
        bool((table.find(sorted(ids)) >= 0).all())
        for table, ids in ((collection.queries, queries), (collection.passages, passages))
    )

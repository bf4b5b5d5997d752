"""The texts behind ids: of the collection that a system was measured on, where it lies beside the runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from distilkit.comparison import evidence
from distilkit.comparison.system import System
from distilkit.data.collection import Collection, open_collection
from distilkit.data.texts import Texts as Table
from distilkit.errors import UserError

NO_TEXTS = "(the collection's texts are not beside the runs)"
# Ids by which a collection is told from others, where the run does not say which it was.
SAMPLE = 50


@dataclass(frozen=True)
class Texts:
    """Looks texts up; of a collection that is not there nothing is known."""

    collection: Collection | None = None

    def queries(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the texts of queries by id."""
        return _found(self.collection.queries, ids) if self.collection is not None else {}

    def passages(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the texts of passages by id."""
        return _found(self.collection.passages, ids) if self.collection is not None else {}


def texts_of(systems: Sequence[System], eval_set: str | None, runs_dir: Path) -> Texts:
    """Return the texts of the collection that systems were measured on.

    It is the one whose fingerprint a run states; a query set with data of its own does not state it, so that the only
    collection that holds its ids is taken.
    """
    found = sorted((runs_dir / ".artifacts").glob("collection/*/content/manifest.json"))
    opened = [one for path in found if (one := _opened(str(path.parent))) is not None]
    records = [record for system in systems if (record := evidence.record(system))]
    stated = [str(data.get("fingerprint")) for record in records if isinstance(data := record.get("data"), dict)]
    if stated and not any(_own_data(record, eval_set) for record in records):
        return Texts(next((one for one in opened if one.fingerprint == stated[0]), None))
    fitting = [one for one in opened if _fits(one, systems)]
    return Texts(fitting[0] if len(fitting) == 1 else None)


@lru_cache(maxsize=16)
def _opened(folder: str) -> Collection | None:
    try:
        return open_collection(Path(folder))
    except (UserError, OSError, ValueError, KeyError):
        return None


def _own_data(record: dict[str, object], eval_set: str | None) -> bool:
    """Return whether a query set reads other data than its recipe's [data]."""
    place: object = record.get("resolved")
    for key in ("evaluate", "sets", eval_set, "data"):
        place = place.get(key) if isinstance(place, dict) else None
    return bool(place)


def _fits(collection: Collection, systems: Sequence[System]) -> bool:
    """Return whether a collection holds the queries and the first results of systems."""
    queries, passages = set(), set()
    for system in systems:
        queries |= set(list(next(iter(system.per_query.values())))[:SAMPLE])
        run = evidence.ranking(system) or {}
        passages |= {document for query in list(run)[:SAMPLE] for document, _ in run[query][:1]}
    return all(
        bool((table.find(sorted(ids)) >= 0).all())
        for table, ids in ((collection.queries, queries), (collection.passages, passages))
    )


def _found(table: Table, ids: Sequence[str]) -> dict[str, str]:
    rows = table.find(list(ids))
    return {one: table.text(int(row)) for one, row in zip(ids, rows, strict=True) if row >= 0}

"""Two systems query by query: who wins where, the two rankings behind it, and the texts behind ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from distilkit.comparison import run_files
from distilkit.comparison.result import Column, ComparisonResult
from distilkit.comparison.systems import System
from distilkit.data.collection import Collection, open_collection
from distilkit.data.texts import Texts
from distilkit.errors import UserError
from distilkit.runs.record import RunRecord

# How far down the rankings are shown.
DEPTH = 100
NO_TEXTS = "(the collection's texts are not beside the runs)"
# Ids by which a collection is told from others, where the run does not say which it was.
SAMPLE = 50


@dataclass(frozen=True)
class Difference:
    """One query: what the system and the baseline score on it."""

    query: str
    system: float
    baseline: float

    @property
    def amount(self) -> float:
        """System - baseline."""
        return self.system - self.baseline


@dataclass(frozen=True)
class Hit:
    """One result: its rank, grade (None: not judged) and text, and its rank in the other ranking."""

    rank: int
    document: str
    score: float
    grade: int | None
    other: int | None
    text: str

    @property
    def judged(self) -> str:
        """The judgement in a glyph and a word."""
        if self.grade is None:
            return "· unjudged"
        return f"● relevant {self.grade}" if self.grade > 0 else "○ not relevant"


@dataclass(frozen=True)
class Side:
    """One system's ranking for a query; `found` is None where there is no run file."""

    name: str
    value: float
    hits: tuple[Hit, ...] | None


def differences(result: ComparisonResult, column: Column, system: str, baseline: str) -> list[Difference]:
    """Return every query that both were measured on, the greatest gain first."""
    systems, measure = run_files.of_set(result, column[0]), column[1]
    if system not in systems or baseline not in systems:
        return []
    one, other = systems[system].per_query[measure], systems[baseline].per_query[measure]
    found = [Difference(query, one[query], other[query]) for query in one.keys() & other.keys()]
    return sorted(found, key=lambda difference: (-difference.amount, difference.query))


def query_texts(result: ComparisonResult, column: Column, queries: Sequence[str], runs_dir: Path) -> dict[str, str]:
    """Return the queries' texts, as far as the collection lies beside the runs."""
    collection = collection_of(list(run_files.of_set(result, column[0]).values()), column[0], runs_dir)
    return _texts(collection.queries, queries) if collection is not None else {}


def sides(
    result: ComparisonResult, column: Column, names: tuple[str, str], query: str, runs_dir: Path
) -> tuple[Side, Side]:
    """Return the rankings of two systems for a query, each result with its judgement, text and place in the other.

    Raises UserError for files that are broken.
    """
    systems = run_files.of_set(result, column[0])
    pair = [systems[name] for name in names]
    judged = next((found for one in pair if (found := run_files.judgements(one))), {})
    rankings = [run_files.ranking(one) for one in pair]
    lists = [None if run is None else run.get(query, [])[:DEPTH] for run in rankings]
    ranks = [{document: rank for rank, (document, _) in enumerate(one or (), 1)} for one in lists]
    collection = collection_of(list(systems.values()), column[0], runs_dir)
    documents = [document for place in ranks for document in place]
    texts = _texts(collection.passages, documents) if collection is not None else {}

    def side(place: int) -> Side:
        hits = lists[place]
        made = (
            None
            if hits is None
            else tuple(
                Hit(
                    rank,
                    document,
                    score,
                    judged.get(query, {}).get(document),
                    ranks[1 - place].get(document),
                    texts.get(document, NO_TEXTS),
                )
                for rank, (document, score) in enumerate(hits, 1)
            )
        )
        return Side(names[place], pair[place].per_query[column[1]].get(query, 0.0), made)

    return side(0), side(1)


def collection_of(systems: Sequence[System], eval_set: str | None, runs_dir: Path) -> Collection | None:
    """Return the collection that systems were measured on, None where it does not lie beside the runs.

    It is the one whose fingerprint a run states; a query set with data of its own does not state it, so that the only
    collection that holds its ids is taken.
    """
    found = sorted((runs_dir / ".artifacts").glob("collection/*/content/manifest.json"))
    opened = [one for path in found if (one := _opened(str(path.parent))) is not None]
    records = [run.record for system in systems if (run := run_files.stored(system)) is not None]
    stated = [str(record.data.get("fingerprint")) for record in records]
    if stated and not any(_own_data(record, eval_set) for record in records):
        return next((one for one in opened if one.fingerprint == stated[0]), None)
    fitting = [one for one in opened if _fits(one, systems)]
    return fitting[0] if len(fitting) == 1 else None


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


def _texts(table: Texts, ids: Sequence[str]) -> dict[str, str]:
    """Return the texts behind ids, of those that a table holds."""
    rows = table.find(list(ids))
    return {one: table.text(int(row)) for one, row in zip(ids, rows, strict=True) if row >= 0}

"""Two systems query by query: who wins where, the two rankings behind it, and the texts behind ids."""

from collections.abc import Sequence
from dataclasses import dataclass

from distilkit.comparison import run_files
from distilkit.comparison.result import Column, ComparisonResult
from distilkit.comparison.texts import collection_of, texts_of

# How far down the rankings are shown.
DEPTH = 100
NO_TEXTS = "(the collection's texts are not beside the runs)"


@dataclass(frozen=True)
class QueryDifference:
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
class QueryRanking:
    """One system's ranking for a query; `found` is None where there is no run file."""

    name: str
    value: float
    hits: tuple[Hit, ...] | None


def differences(result: ComparisonResult, column: Column, system: str, baseline: str) -> list[QueryDifference]:
    """Return every query that both were measured on, the greatest gain first."""
    systems, measure = run_files.of_set(result, column[0]), column[1]
    if system not in systems or baseline not in systems:
        return []
    one, other = systems[system].per_query[measure], systems[baseline].per_query[measure]
    found = [QueryDifference(query, one[query], other[query]) for query in one.keys() & other.keys()]
    return sorted(found, key=lambda difference: (-difference.amount, difference.query))


def query_texts(result: ComparisonResult, column: Column, queries: Sequence[str]) -> dict[str, str]:
    """Return the queries' texts, as far as the collection lies beside the runs."""
    collection = collection_of(list(run_files.of_set(result, column[0]).values()), column[0])
    return texts_of(collection.queries, queries) if collection is not None else {}


def sides(
    result: ComparisonResult, column: Column, names: tuple[str, str], query: str
) -> tuple[QueryRanking, QueryRanking]:
    """Return the rankings of two systems for a query, each result with its judgement, text and place in the other.

    Raises UserError for files that are broken.
    """
    systems = run_files.of_set(result, column[0])
    pair = [systems[name] for name in names]
    judged = next((found for one in pair if (found := run_files.judgements(one))), {})
    rankings = [run_files.ranking(one) for one in pair]
    lists = [None if run is None else run.get(query, [])[:DEPTH] for run in rankings]
    ranks = [{document: rank for rank, (document, _) in enumerate(one or (), 1)} for one in lists]
    collection = collection_of(list(systems.values()), column[0])
    documents = [document for place in ranks for document in place]
    texts = texts_of(collection.passages, documents) if collection is not None else {}

    def side(place: int) -> QueryRanking:
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
        return QueryRanking(names[place], pair[place].per_query[column[1]].get(query, 0.0), made)

    return side(0), side(1)

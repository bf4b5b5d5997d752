"""Two systems query by query: who wins where, and the two rankings behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilkit.comparison import evidence
from distilkit.comparison.result import Column, ComparisonResult
from distilkit_tui.core.texts import NO_TEXTS, texts_of

# How far down the rankings are shown.
DEPTH = 100


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
    systems, measure = evidence.of_set(result, column[0]), column[1]
    if system not in systems or baseline not in systems:
        return []
    one, other = systems[system].per_query[measure], systems[baseline].per_query[measure]
    found = [Difference(query, one[query], other[query]) for query in one.keys() & other.keys()]
    return sorted(found, key=lambda difference: (-difference.amount, difference.query))


def query_texts(result: ComparisonResult, column: Column, queries: Sequence[str], runs_dir: Path) -> dict[str, str]:
    """Return the queries' texts, as far as the collection lies beside the runs."""
    return texts_of(list(evidence.of_set(result, column[0]).values()), column[0], runs_dir).queries(queries)


def sides(
    result: ComparisonResult, column: Column, names: tuple[str, str], query: str, runs_dir: Path
) -> tuple[Side, Side]:
    """Return the rankings of two systems for a query, each result with its judgement, text and place in the other.

    Raises UserError for files that are broken.
    """
    systems = evidence.of_set(result, column[0])
    texts = texts_of(list(systems.values()), column[0], runs_dir)
    first, second = (evidence.ranking(systems[name]) for name in names)
    judged = evidence.judgements(systems[names[0]]) or evidence.judgements(systems[names[1]]) or {}
    grades = judged.get(query, {})
    lists = [None if run is None else run.get(query, [])[:DEPTH] for run in (first, second)]
    ranks = [{document: rank for rank, (document, _) in enumerate(one or (), 1)} for one in lists]
    known = texts.passages([document for place in ranks for document in place])
    found = []
    for place, name in enumerate(names):
        hits = lists[place]
        value = systems[name].per_query[column[1]].get(query, 0.0)
        if hits is None:
            found.append(Side(name, value, None))
            continue
        other = ranks[1 - place]
        made = tuple(
            Hit(rank, document, score, grades.get(document), other.get(document), known.get(document, NO_TEXTS))
            for rank, (document, score) in enumerate(hits, 1)
        )
        found.append(Side(name, value, made))
    return found[0], found[1]

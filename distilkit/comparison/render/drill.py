"""What a page knows of single queries: values, rankings with grades, and the texts, each of which it holds once."""

import json
from collections.abc import Sequence
from typing import Any

from distilkit.comparison import run_files
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System
from distilkit.comparison.texts import collection_of, texts_of
from distilkit.data.texts import Texts

TOP = 20
"""Ranks of a system that are shown."""
RESULTS = 150_000
"""Results in all that a page may hold; beyond, the queries on which systems differ most have theirs."""
VALUES = 600_000
PASSAGE = 600
"""Characters of a passage that are kept."""
CHARACTERS = 6_000_000
"""Characters of passages in all that a page may hold, those of the queries on which systems differ most first."""


def drill(result: ComparisonResult) -> list[dict[str, Any]]:
    """Return, per query set, each query's values and each system's first results with their grades and texts."""
    names = list(dict.fromkeys(name for name, _ in result.columns))
    share = len(names)
    return [_of_set(result, name, RESULTS // share, VALUES // share, CHARACTERS // share) for name in names]


def _of_set(
    result: ComparisonResult, eval_set: str | None, results: int, values: int, characters: int
) -> dict[str, Any]:
    systems = list(run_files.of_set(result, eval_set).values())
    measures = [measure for name, measure in result.columns if name == eval_set]
    queries = sorted(set.intersection(*(set(one.per_query[measures[0]]) for one in systems)))
    queries.sort(key=lambda query: -_spread(systems, measures[0], query))
    shown = queries[: max(1, values // (len(systems) * len(measures)))]
    ranked = shown[: max(1, results // (len(systems) * TOP))]
    documents: dict[str, int] = {}
    told = [
        {
            "id": query,
            "values": [[round(one.per_query[measure][query], 4) for one in systems] for measure in measures],
            **(_rankings(systems, query, documents) if place < len(ranked) else {}),
        }
        for place, query in enumerate(shown)
    ]
    collection = collection_of(systems, eval_set)
    if collection is not None:
        asked = texts_of(collection.queries, [query["id"] for query in told])
        told = [{**query, "text": asked[query["id"]]} if query["id"] in asked else query for query in told]
    baseline = result.reference
    return {
        "set": eval_set,
        "measures": measures,
        "systems": [one.name for one in systems],
        "short": [result.short[one.name] for one in systems],
        "baseline": next((place for place, one in enumerate(systems) if one.name == baseline), 0),
        "total": len(queries),
        "documents": list(documents),
        "texts": _passages(collection.passages, list(documents), characters) if collection is not None else [],
        "queries": told,
    }


def _passages(table: Texts, documents: Sequence[str], characters: int) -> list[str]:
    """Return the beginnings of the first documents' texts, as many as there is room for."""
    found: list[str] = []
    left = characters
    for start in range(0, len(documents), 1000):
        there = texts_of(table, documents[start : start + 1000])
        for one in documents[start : start + 1000]:
            text = there.get(one, "")
            text = text if len(text) <= PASSAGE else f"{text[:PASSAGE]}…"
            left -= len(json.dumps(text))  # as the page writes it
            if left < 0:
                return found
            found.append(text)
    return found


def _spread(systems: Sequence[System], measure: str, query: str) -> float:
    values = [one.per_query[measure][query] for one in systems]
    return max(values) - min(values)


def _rankings(systems: Sequence[System], query: str, documents: dict[str, int]) -> dict[str, Any]:
    """Return each system's first results, as places in the list of all documents, and the grades of those judged."""
    rankings: list[list[list[Any]] | None] = []
    for system in systems:
        run = run_files.ranking(system)
        if run is None:
            rankings.append(None)
            continue
        found = run.get(query, [])[:TOP]
        rankings.append(
            [[documents.setdefault(document, len(documents)), float(f"{score:.5g}")] for document, score in found]
        )
    grades = (run_files.judgements(systems[0]) or {}).get(query, {})
    seen = {place for ranking in rankings for place, _ in ranking or ()}
    judged = {documents[one]: grade for one, grade in grades.items() if documents.get(one) in seen}
    return {"grades": judged, "rankings": rankings}

"""The one evaluation policy: which order a run stands for, whatever tool wrote it or measures it.

Scores are finite. Results are ordered by score (as double) descending, then by document id descending as a string,
which is trec_eval's order; the rank column is unused. A judged query without results scores 0 and is counted; results
for queries without judgements are ignored and counted. A query that is itself a document is left out of its own
results, as BEIR does, and counted: where texts tell, by them and its id; of a bare run by its id, unless a number.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distilkit.errors import RunFailed

ORDER = "score descending, then document id descending as a string; the rank column is unused"

Results = Sequence[tuple[str, float]]


def ordered(run: Mapping[str, Results]) -> dict[str, list[tuple[str, float]]]:
    """Return the run with every query's results in the policy's order.

    Raises RunFailed for a score that is not finite and for a document listed twice for a query.
    """
    return {query: _ordered(query, results) for query, results in run.items()}


def rewritten(run: Mapping[str, Results]) -> dict[str, dict[str, float]]:
    """Return the run with scores n, n - 1, ..., 1 in the policy's order, so that no tool's rule for ties matters.

    Raises RunFailed as `ordered` does.
    """
    return {
        query: {document: float(len(results) - place) for place, (document, _) in enumerate(results)}
        for query, results in ordered(run).items()
    }


def without_own(
    run: Mapping[str, list[tuple[str, float]]], exclude: bool | None = None
) -> tuple[dict[str, list[tuple[str, float]]], int]:
    """Return the run without the documents that are their queries themselves, by their ids, and their number.

    By default ids that are numbers stay, as these name different things in queries and documents; True leaves out all.
    """
    if exclude is False:
        return dict(run), 0
    kept: dict[str, list[tuple[str, float]]] = {}
    for query, results in run.items():
        kept[query] = results
        if exclude or not query.isdecimal():
            kept[query] = [result for result in results if result[0] != query]
    return kept, sum(len(results) - len(kept[query]) for query, results in run.items())


def record(n: int, missing: int, unjudged: int, own: int = 0) -> dict[str, Any]:
    """Return the policy as reports state it.

    `n` are judged queries, `missing` those without results, `unjudged` result queries that are ignored, `own` the
    queries that are documents themselves and are left out of their results.
    """
    return {"order": ORDER, "n": n, "missing": missing, "unjudged": unjudged, "own": own}


def _ordered(query: str, results: Results) -> list[tuple[str, float]]:
    for document, score in results:
        if not math.isfinite(score):
            raise RunFailed(f"query {query!r}, document {document!r}: the score is {score}; scores must be finite")
    if len({document for document, _ in results}) != len(results):
        raise RunFailed(f"query {query!r} lists a document twice")
    return sorted(results, key=lambda result: (result[1], result[0]), reverse=True)

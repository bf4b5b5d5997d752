"""The one evaluation policy: which order a run stands for, whatever tool wrote it or measures it.

Scores are finite. Results are ordered by score (as double) descending, then by document id descending as a string,
which is trec_eval's order; the rank column is unused. A judged query without results scores 0 and is counted; results
for queries without judgements are ignored and counted.
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


def record(n: int, missing: int, unjudged: int) -> dict[str, Any]:
    """Return the policy as reports state it: n judged queries, those without results, result queries ignored."""
    return {"order": ORDER, "n": n, "missing": missing, "unjudged": unjudged}


def _ordered(query: str, results: Results) -> list[tuple[str, float]]:
    for document, score in results:
        if not math.isfinite(score):
            raise RunFailed(f"query {query!r}, document {document!r}: the score is {score}; scores must be finite")
    if len({document for document, _ in results}) != len(results):
        raise RunFailed(f"query {query!r} lists a document twice")
    return sorted(results, key=lambda result: (result[1], result[0]), reverse=True)

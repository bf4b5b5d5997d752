"""Which queries a comparison is made over, by the evaluation policy."""

import math
from collections.abc import Sequence
from typing import Any

from distilkit.comparison.system import System
from distilkit.errors import UserError
from distilkit.evaluation.policy import ORDER

SCORES = "finite; a run with any other is refused"


def choose(systems: Sequence[System], measures: Sequence[str], mode: str) -> list[str]:
    """Return the ids of the queries compared, sorted.

    `judged`: every judged query, one without results scoring 0; all systems must have been judged on the same queries.
    `intersection`: those that every system was judged on and has results for. Raises UserError where the judged
    queries differ, where no query is left and for a value that is not finite.
    """
    judged = [_judged(system, measures) for system in systems]
    if mode == "judged":
        for system, queries in zip(systems, judged, strict=True):
            if queries != judged[0]:
                raise UserError(_difference(systems[0].name, judged[0], system.name, queries))
        chosen = judged[0]
    else:
        answered = [queries - system.missing for system, queries in zip(systems, judged, strict=True)]
        chosen = frozenset.intersection(*answered)
    if not chosen:
        raise UserError("there is no query that every system was judged on and has results for")
    return sorted(chosen)


def policy(systems: Sequence[System], measures: Sequence[str], queries: Sequence[str], mode: str) -> dict[str, Any]:
    """Return the policy as the report states it, with each system's judged queries without results.

    `qrels` and `runs` are the first digits of the files' sha256, `judged` the share of each system's first results that
    are judged, where it was counted.
    """
    everything = frozenset.union(*(_judged(system, measures) for system in systems))
    judged = {system.name: system.judged for system in systems if system.judged is not None}
    return {
        "order": ORDER,
        "scores": SCORES,
        "queries": mode,
        "n": len(queries),
        "left_out": len(everything) - len(queries),
        "missing": {system.name: len(system.missing) for system in systems},
        "unjudged": {system.name: system.unjudged for system in systems},
        "qrels": sorted({system.judgements for system in systems if system.judgements}),
        "runs": {system.name: system.fingerprint for system in systems if system.fingerprint},
        "judged": {
            "cutoff": next((one.cutoff for one in judged.values()), None),
            "systems": {name: one.share for name, one in judged.items()},
        },
    }


def _judged(system: System, measures: Sequence[str]) -> frozenset[str]:
    queries = frozenset(system.per_query[measures[0]])
    for measure in measures:
        values = system.per_query[measure]
        if values.keys() != queries:
            raise UserError(f"system {system.name!r}: {measures[0]} and {measure} are given for different queries")
        for query, value in values.items():
            if not math.isfinite(value):
                raise UserError(f"system {system.name!r}: {measure} of query {query!r} is {value}, not a finite number")
    return queries


def _difference(first: str, expected: frozenset[str], other: str, found: frozenset[str]) -> str:
    example = min(expected ^ found)
    holder = first if example in expected else other
    return (
        f"{first!r} and {other!r} were judged on different queries ({len(expected)} and {len(found)}; "
        f"{example!r}, for one, only for {holder!r}); judge all with one --qrels FILE, "
        "or compare the queries they share with --queries intersection"
    )

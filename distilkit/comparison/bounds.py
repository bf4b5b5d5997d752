"""The rows that candidates and judgements give alone: chance, their random order, and the ceiling, their best one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distilkit.comparison import run_files
from distilkit.comparison.result import Column, SystemMean
from distilkit.comparison.systems import COUNTED_UP_TO, System
from distilkit.errors import UserError
from distilkit.evaluation import bounds
from distilkit.evaluation.measures import as_measure, means
from distilkit.evaluation.policy import without_own
from distilkit.evaluation.trec import Qrels, Run

CHANCE, CEILING = "chance", "ceiling"
FIRST_STAGE = "bm25"


@dataclass(frozen=True)
class CandidateSet:
    """What some systems re-rank: each query's documents, their judgements, and what tells them from others of a table.

    `of` is empty where a table has one first stage, or none and equal candidates, else the name behind the kind of it.
    """

    of: str
    documents: Mapping[str, Sequence[str]]
    qrels: Qrels


def of_set(systems: Sequence[System], measures: Sequence[str], queries: Sequence[str]) -> list[SystemMean]:
    """Return the rows of one query set's systems: their means over the queries compared.

    The candidates are those of each first stage or, without one, those that every system ranks. There are no rows where
    the systems rank different documents, for a measure that ir-measures does not know, and of very large files.
    """
    known = [measure for measure in measures if _is_known(measure)]
    names = {system.name for system in systems}
    eval_set = systems[0].eval_set
    return [
        row
        for candidates in _candidates(systems)
        for row in rows(candidates, known, queries, eval_set, names)
        if set(queries) <= candidates.qrels.keys()
    ]


def rows(
    candidates: CandidateSet, measures: Sequence[str], queries: Sequence[str], eval_set: str | None, names: set[str]
) -> list[SystemMean]:
    """Return chance and ceiling of some candidates, under names that no system has."""
    found = []
    for kind, bound in ((CEILING, bounds.ceiling), (CHANCE, bounds.chance)):
        per_query = bound(candidates.documents, candidates.qrels, measures)
        name = f"{kind}{candidates.of}"
        name = f"{name} of the candidates" if name in names else name
        shown = means({one: {query: values[query] for query in queries} for one, values in per_query.items()})
        found += [
            SystemMean(name, measure, len(queries), mean, None, None, 1, "", eval_set, kind)
            for measure, mean in shown.items()
        ]
    return found


def by_name(found: Sequence[SystemMean]) -> dict[str, dict[Column, SystemMean]]:
    """Return the rows by their names, each with its means by column."""
    table: dict[str, dict[Column, SystemMean]] = {}
    for one in found:
        table.setdefault(one.name, {})[one.set, one.measure] = one
    return table


def _candidates(systems: Sequence[System]) -> list[CandidateSet]:
    first = [system for system in systems if system.kind == FIRST_STAGE]
    if not first:
        same = _same(systems)
        return [] if same is None else [same]
    found = []
    for system in first:
        run, qrels = _run(system), run_files.judgements(system)
        if run is not None and qrels is not None:
            found.append(CandidateSet(system.name.removeprefix(FIRST_STAGE), _documents(run), qrels))
    return found


def _same(systems: Sequence[System]) -> CandidateSet | None:
    """Return the candidates that all systems rank, None where any ranks others."""
    qrels = run_files.judgements(systems[0])
    documents: Mapping[str, Sequence[str]] | None = None
    for system in systems:
        for seed in range(max(1, len(system.origins))):
            run = _run(system, seed)
            if run is None or qrels is None:
                return None
            found = _documents(run)
            if documents is not None and _sets(found, qrels) != _sets(documents, qrels):
                return None
            documents = found
    return None if documents is None or qrels is None else CandidateSet("", documents, qrels)


def _sets(documents: Mapping[str, Sequence[str]], qrels: Qrels) -> dict[str, frozenset[str]]:
    return {query: frozenset(found) for query, found in documents.items() if found and query in qrels}


def _run(system: System, seed: int = 0) -> Run | None:
    path = system.origins[seed].run if system.origins else None
    if path is None or not path.is_file() or path.stat().st_size > COUNTED_UP_TO:
        return None
    return run_files.ranking(system, seed)


def _documents(run: Run) -> dict[str, list[str]]:
    return {query: [document for document, _ in found] for query, found in without_own(run)[0].items()}


def _is_known(measure: str) -> bool:
    try:
        as_measure(measure)
    except UserError:
        return False
    return True

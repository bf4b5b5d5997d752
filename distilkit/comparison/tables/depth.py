"""Effectiveness by re-ranking depth: one run of the greatest depth, cut to the first stage's first results."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from distilkit.comparison import bounds, run_files
from distilkit.comparison.compare import compare
from distilkit.comparison.result import ComparisonResult, SystemMean
from distilkit.comparison.systems import System, mean_per_query
from distilkit.comparison.table import ColumnHead, ResultTable, label
from distilkit.comparison.tables.means import bound_rows, mean_cell
from distilkit.errors import UserError
from distilkit.evaluation.measures import evaluate
from distilkit.evaluation.trec import Qrels, Run

DEPTHS = (10, 20, 50, 100, 200, 1000)
FIRST_STAGE = "bm25"


def depth_tables(result: ComparisonResult, depths: Sequence[int] = ()) -> list[ResultTable]:
    """Return a table per measure of the first set: a row per re-ranking system, a column per depth.

    A re-ranker at depth d sees the first stage's first d results. All depths' comparisons with the report's baselines
    are one family of their own. Empty where there is no first stage called bm25, nothing that re-ranks its results, or,
    without `depths`, no second depth to compare. Raises UserError for a depth beyond the first stage's results.
    """
    systems = run_files.first_set(result)
    first = run_files.ranking(systems[FIRST_STAGE]) if FIRST_STAGE in systems else None
    qrels = run_files.judgements(systems[FIRST_STAGE]) if FIRST_STAGE in systems else None
    if not first or qrels is None:
        return []
    reranked = {name: one for name, one in systems.items() if name != FIRST_STAGE and _reranks(one, first)}
    chosen = _chosen(depths, max(len(results) for results in first.values()))
    if not reranked or not chosen:
        return []
    measures = [measure for name, measure in result.columns if name == result.columns[0][0]]
    cut = [_at(system, first, depth, qrels, measures) for depth in chosen for system in reranked.values()]
    found = compare(
        cut,
        baselines=_baselines(result, list(reranked)),
        correction=result.correction,
        alpha=result.alpha,
        noninferiority=result.margin,
        margin_kind=result.margin_kind,
        queries=result.policy["queries"],
    )
    short = result.short
    left = [short[name] for name in systems if name not in reranked and name != FIRST_STAGE]
    letters = ", ".join(f"{letter} {short[name]}" for name, letter in found.letters.items())
    notes = [
        f"Depth d: the first d results of {short[FIRST_STAGE]}, re-ranked by the system. Superscripts ({letters}) and "
        f"stars (against {short[found.reference]}) mean what they mean in the table of means; p is corrected over the "
        f"{found.family} comparisons of the depths."
    ]
    notes += [f"Left out, since they rank other documents: {', '.join(left)}."] if left else []
    queries = sorted(next(iter(systems[FIRST_STAGE].per_query.values())))
    bounding = [row for depth in chosen for row in _bounds(first, depth, qrels, measures, queries, set(systems))]
    shown = {name: short[name] for name in reranked}
    return [_table(found, measure, chosen, shown, bounding, tuple(notes)) for measure in measures]


def _bounds(
    first: Run, depth: int, qrels: Qrels, measures: Sequence[str], queries: Sequence[str], names: set[str]
) -> list[SystemMean]:
    """Return chance and ceiling of the first stage's results down to a depth."""
    kept = {query: [document for document, _ in results[:depth]] for query, results in first.items()}
    return bounds.rows(bounds.CandidateSet("", kept, qrels), measures, queries, str(depth), names)


def _table(
    found: ComparisonResult,
    measure: str,
    depths: Sequence[int],
    short: Mapping[str, str],
    bounding: Sequence[SystemMean],
    notes: tuple[str, ...],
) -> ResultTable:
    return ResultTable(
        "depth",
        f"{measure} by re-ranking depth",
        (ColumnHead("System"), *(ColumnHead(str(depth), "depth") for depth in depths)),
        (
            *(
                (label(name, short[name]), *(mean_cell(found, name, (str(depth), measure)) for depth in depths))
                for name in short
            ),
            *bound_rows(bounding, [(str(depth), measure) for depth in depths]),
        ),
        notes,
    )


def _chosen(asked: Sequence[int], greatest: int) -> list[int]:
    beyond = [depth for depth in asked if not 0 < depth <= greatest]
    if beyond:
        raise UserError(
            f"--depths {beyond[0]}: expected a depth from 1 to {greatest}, that of the first stage's results"
        )
    usual = sorted({depth for depth in DEPTHS if depth < greatest} | {greatest})
    return sorted(set(asked)) or (usual if len(usual) > 1 else [])


def _baselines(result: ComparisonResult, names: Sequence[str]) -> list[str]:
    """Return the report's baselines among the re-rankers, with their letters; of all pairs' baselines the first."""
    known = [name for name in result.baselines if name in names and len(result.letters[name]) == 1]
    letters = [f"{name}:{result.letters[name]}" for name in known]
    return (letters[:1] if result.pairs == "all" else letters) or [names[0]]


def _reranks(system: System, first: Run) -> bool:
    """Return whether every seed's run holds no document but the first stage's."""
    runs = [run_files.ranking(system, seed) for seed in range(len(system.origins))]
    allowed = {query: {document for document, _ in results} for query, results in first.items()}
    return bool(runs) and all(
        run is not None
        and all({document for document, _ in results} <= allowed.get(query, set()) for query, results in run.items())
        for run in runs
    )


def _at(system: System, first: Run, depth: int, qrels: Qrels, measures: Sequence[str]) -> System:
    """Return a system as it is at a depth, which takes the place of the query set."""
    kept = {query: {document for document, _ in results[:depth]} for query, results in first.items()}
    tables = []
    for seed in range(len(system.origins)):
        run = run_files.ranking(system, seed) or {}
        cut = {query: [one for one in results if one[0] in kept[query]] for query, results in run.items()}
        tables.append(evaluate(cut, qrels, measures).per_query)
    replicates = tuple(tables) if len(tables) > 1 else ()
    values = mean_per_query(tables)
    # Its files have more than this depth.
    return replace(system, per_query=values, replicates=replicates, eval_set=str(depth), notes=(), origins=())

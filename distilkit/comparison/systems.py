"""The systems of a comparison, wherever their results came from."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from distilkit.comparison.arguments import Source, expand, shared_sets
from distilkit.comparison.reader import Reader, first_qrels, measures_of
from distilkit.comparison.seeds import averaged
from distilkit.comparison.system import Judged, Origin, System
from distilkit.errors import UserError

__all__ = ["Judged", "Origin", "System", "read_systems"]


def read_systems(
    arguments: Sequence[str],
    *,
    runs_dir: Path = Path("runs"),
    measures: str | Iterable[str] | None = None,
    qrels: Path | None = None,
    eval_set: str | Sequence[str] | None = "test",
) -> list[System]:
    """Return the systems that arguments name: run folders, runs and suites below `runs_dir`, TREC run files.

    A run folder brings its first stage, teacher, label-only twin and student along, in this order. Its values are those
    of per_query.csv where this holds every measure, else they are computed from run.trec; with `qrels` they are always
    computed. Without `measures` they are those of the first run folder, else nDCG@10 and RR@10. Runs that differ in
    seed only come as one system. Several sets give each system once per set; None stands for all that the runs share.
    Raises UserError for an argument that is none of these and for files that are missing or broken.
    """
    if qrels is not None and not qrels.exists():
        raise UserError(f"--qrels {qrels}: there is no such file")
    if isinstance(eval_set, str):
        eval_set = [eval_set]
    sets = list(dict.fromkeys(eval_set or shared_sets(arguments, runs_dir))) or ["test"]
    if qrels is not None and len(sets) > 1:
        raise UserError(f"--qrels judges one set of queries; name one of {', '.join(sets)} with --eval-set")
    asked = list(measures) if measures is not None and not isinstance(measures, str) else measures
    return [system for name in sets for system in _read(arguments, runs_dir, asked, qrels, name)]


def _read(
    arguments: Sequence[str], runs_dir: Path, measures: str | list[str] | None, qrels: Path | None, eval_set: str
) -> list[System]:
    sources = expand(arguments, runs_dir, eval_set)
    of_runs = any(source.kind != "file" for source in sources)
    reader = Reader(measures_of(sources, measures), qrels, first_qrels(sources), eval_set=eval_set if of_runs else None)
    return averaged(_merged([(source, reader.read(source)) for source in sources]))


def _merged(read: Sequence[tuple[Source, System]]) -> list[tuple[Source, System]]:
    """Bring equal references once; name those that differ after the first run that has them."""
    distinct: dict[str, list[System]] = {"bm25": [], "teacher": []}
    kept: list[tuple[Source, System]] = []
    for source, system in read:
        if system.kind in distinct:
            if any(_equal(system, other) for other in distinct[system.kind]):
                continue
            distinct[system.kind].append(system)
        kept.append((source, system))
    return [
        (
            source,
            replace(system, name=f"{system.kind}-{source.run}") if len(distinct.get(system.kind, ())) > 1 else system,
        )
        for source, system in kept
    ]


def _equal(one: System, other: System) -> bool:
    return (one.per_query, one.missing) == (other.per_query, other.missing)

"""The systems of a comparison: what each scored per query, wherever it came from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from distilkit.comparison.arguments import Source, expand
from distilkit.errors import UserError
from distilkit.evaluation import results
from distilkit.evaluation.measures import DEFAULT_MEASURES, canonical_all, evaluate
from distilkit.evaluation.trec import Qrels, Run, read_qrels, read_run


@dataclass(frozen=True)
class System:
    """A system to compare: its name and, per measure, each judged query's value.

    `missing` are the judged queries without results (they score 0), `unjudged` counts its result queries without
    judgements, `kind` is bm25, teacher, twin, run or file, `notes` are sentences for the report.
    """

    name: str
    per_query: dict[str, dict[str, float]]
    missing: frozenset[str] = frozenset()
    unjudged: int = 0
    kind: str = "file"
    notes: tuple[str, ...] = ()


def read_systems(
    arguments: Sequence[str],
    *,
    runs_dir: Path = Path("runs"),
    measures: str | Iterable[str] | None = None,
    qrels: Path | None = None,
    eval_set: str = "test",
) -> list[System]:
    """Return the systems that arguments name: run folders, runs and suites below `runs_dir`, TREC run files.

    A run folder brings its first stage, teacher, label-only twin and student along, in this order. Its values are those
    of per_query.csv where this holds every measure, else they are computed from run.trec; with `qrels` they are always
    computed. Without `measures` they are those of the first run folder, else nDCG@10 and RR@10.
    Raises UserError for an argument that is none of these and for files that are missing or broken.
    """
    if qrels is not None and not qrels.exists():
        raise UserError(f"--qrels {qrels}: there is no such file")
    sources = expand(arguments, runs_dir, eval_set)
    reader = _Reader(_measures(sources, measures), qrels, _first_qrels(sources))
    return _merged([(source, reader.read(source)) for source in sources])


@dataclass
class _Reader:
    """Reads sources under one choice of measures and judgements."""

    measures: list[str]
    given: Path | None
    """The judgements asked for, which overrule those of run folders."""
    borrowed: Path | None
    """The first run folder's judgements, for files without any."""
    known: dict[Path, Qrels] = field(default_factory=dict)

    def read(self, source: Source) -> System:
        """Return a source's system; raises UserError for missing or broken files."""
        if source.kind == "file":
            qrels = self.given or self.borrowed
            if qrels is None:
                raise UserError(f"{source.path}: a TREC run needs judgements; give them with --qrels FILE")
            return self._evaluated(source, source.path, qrels)
        run, table = source.path / results.RUN, source.path / results.PER_QUERY
        if self.given is None or not run.is_file():
            values = results.read_per_query(table) if table.is_file() else {}
            if all(measure in values for measure in self.measures):
                return self._stored(source, {measure: values[measure] for measure in self.measures})
        qrels = self.given or source.qrels
        if not run.is_file() or not qrels.is_file():
            absent = f"no {results.RUN}" if not run.is_file() else f"neither {qrels} nor --qrels FILE"
            raise UserError(
                f"{table}: does not hold {' and '.join(self.measures)}, and there is {absent} to compute them from"
            )
        return self._evaluated(source, run, qrels)

    def _evaluated(self, source: Source, path: Path, qrels_path: Path) -> System:
        qrels = self._judgements(qrels_path)
        run: Run = read_run(path)
        evaluation = evaluate(run, qrels, self.measures)
        if len(evaluation.missing) == len(evaluation.queries):
            raise UserError(f"{path}: has results for none of the {len(qrels)} queries judged in {qrels_path}")
        return System(
            source.name,
            evaluation.per_query,
            frozenset(evaluation.missing),
            evaluation.unjudged,
            source.kind,
            source.notes,
        )

    def _stored(self, source: Source, values: results.PerQuery) -> System:
        """Return a system as its run folder states it; only where queries are missing is the run read for which."""
        summary = source.path / results.MEASURES
        policy = results.read_measures(summary).get("policy", {}) if summary.is_file() else {}
        missing: frozenset[str] = frozenset()
        if policy.get("missing") != 0 and (source.path / results.RUN).is_file():
            missing = frozenset(next(iter(values.values()))) - read_run(source.path / results.RUN).keys()
        return System(source.name, values, missing, policy.get("unjudged", 0), source.kind, source.notes)

    def _judgements(self, path: Path) -> Qrels:
        if path not in self.known:
            self.known[path] = read_qrels(path)
        return self.known[path]


def _measures(sources: Sequence[Source], asked: str | Iterable[str] | None) -> list[str]:
    if asked:
        return canonical_all(asked)
    for source in sources:
        summary = source.path / results.MEASURES
        if source.kind != "file" and summary.is_file() and (stated := results.read_measures(summary)["measures"]):
            return list(stated)
    return list(DEFAULT_MEASURES)


def _first_qrels(sources: Sequence[Source]) -> Path | None:
    return next((one.qrels for one in sources if one.kind != "file" and one.qrels.is_file()), None)


def _merged(read: Sequence[tuple[Source, System]]) -> list[System]:
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
        replace(system, name=f"{system.kind}-{source.run}") if len(distinct.get(system.kind, ())) > 1 else system
        for source, system in kept
    ]


def _equal(one: System, other: System) -> bool:
    return (one.per_query, one.missing) == (other.per_query, other.missing)

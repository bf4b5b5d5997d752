"""Reading the values of systems: from per_query.csv where it has them, else from the TREC run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from distilkit.comparison.arguments import Source
from distilkit.comparison.system import Judged, Origin, System
from distilkit.errors import UserError
from distilkit.evaluation.measures import DEFAULT_MEASURES, canonical_all, evaluate
from distilkit.evaluation.trec import Qrels, Run, read_qrels, read_run
from distilkit.files import sha256_file
from distilkit.runs.results import PER_QUERY, RUN, PerQuery, StoredResults

DIGITS = 12
"""How many digits of a sha256 a report shows."""
COUNTED_UP_TO = 50_000_000
"""A stored run of more bytes is not read for the sake of Judged@k alone."""


@dataclass
class Reader:
    """Reads sources under one choice of measures and judgements."""

    measures: list[str]
    given: Path | None
    """The judgements asked for, which overrule those of run folders."""
    borrowed: Path | None
    """The first run folder's judgements, for files without any."""
    eval_set: str | None = None
    known: dict[Path, Qrels] = field(default_factory=dict)

    def read(self, source: Source) -> System:
        """Return a source's system; raises UserError for missing or broken files."""
        results = source.results
        if results is None:
            qrels = self.given or self.borrowed
            if qrels is None:
                raise UserError(f"{source.path}: a TREC run needs judgements; give them with --qrels FILE")
            return self._evaluated(source, source.path, qrels)
        run = results.run
        if self.given is None or not run.is_file():
            values = results.per_query()
            if all(measure in values for measure in self.measures):
                return self._stored(source, results, {measure: values[measure] for measure in self.measures})
        qrels = self.given or results.qrels
        if not run.is_file() or not qrels.is_file():
            absent = f"no {RUN}" if not run.is_file() else f"neither {qrels} nor --qrels FILE"
            raise UserError(
                f"{results.table}: does not hold {' and '.join(self.measures)}, and there is {absent} to compute them "
                "from"
            )
        return self._evaluated(source, run, qrels)

    def _evaluated(self, source: Source, path: Path, qrels_path: Path) -> System:
        qrels = self._judgements(qrels_path)
        run: Run = read_run(path)
        share = f"Judged@{self._cutoff}"
        evaluation = evaluate(run, qrels, [*self.measures, share])
        if len(evaluation.missing) == len(evaluation.queries):
            raise UserError(f"{path}: has results for none of the {len(qrels)} queries judged in {qrels_path}")
        system = self._system(source, {name: evaluation.per_query[name] for name in self.measures}, path, qrels_path)
        return replace(
            system,
            missing=frozenset(evaluation.missing),
            unjudged=evaluation.unjudged,
            judged=Judged(self._cutoff, evaluation.means[share]),
        )

    def _stored(self, source: Source, results: StoredResults, values: PerQuery) -> System:
        """Return a system as its run folder states it; the run is read for what the folder does not say."""
        summary, run = results.measures(), results.run
        policy = summary.policy if summary is not None else {}
        system = self._system(source, values, run if run.is_file() else None, results.qrels)
        missing: frozenset[str] = frozenset()
        judged = None
        if run.is_file() and (policy.get("missing") != 0 or run.stat().st_size <= COUNTED_UP_TO):
            found = read_run(run)
            missing = frozenset(next(iter(values.values())).keys() - found.keys())
            if results.qrels.is_file():
                share = evaluate(found, self._judgements(results.qrels), [f"Judged@{self._cutoff}"])
                judged = Judged(self._cutoff, *share.means.values())
        return replace(system, missing=missing, unjudged=policy.get("unjudged", 0), judged=judged)

    def _system(self, source: Source, values: PerQuery, run: Path | None, qrels: Path) -> System:
        judgements = qrels if qrels.is_file() else None
        return System(
            name=source.name,
            per_query=values,
            kind=source.kind,
            notes=source.notes,
            eval_set=self.eval_set,
            origins=(Origin(run, judgements, source.results, source.stored),),
            fingerprint=_fingerprint(run or source.path / PER_QUERY),
            judgements=_fingerprint(judgements) if judgements else "",
        )

    @property
    def _cutoff(self) -> int:
        """The depth that the shallowest measure looks to, 10 where none has any."""
        return min((int(name.rpartition("@")[2]) for name in self.measures if "@" in name), default=10)

    def _judgements(self, path: Path) -> Qrels:
        if path not in self.known:
            self.known[path] = read_qrels(path)
        return self.known[path]


def measures_of(sources: Sequence[Source], asked: str | Iterable[str] | None) -> list[str]:
    """Return the measures asked for, else those of the first run folder, else the default ones."""
    if asked:
        return canonical_all(asked)
    for source in sources:
        summary = source.results.measures() if source.results is not None else None
        if summary is not None and summary.measures:
            return list(summary.measures)
    return list(DEFAULT_MEASURES)


def first_qrels(sources: Sequence[Source]) -> Path | None:
    """Return the first run folder's judgements, if there are any."""
    stored = [source.results.qrels for source in sources if source.results is not None]
    return next((qrels for qrels in stored if qrels.is_file()), None)


def _fingerprint(path: Path) -> str:
    return sha256_file(path)[:DIGITS]

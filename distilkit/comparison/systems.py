"""The systems of a comparison: what each scored per query, read from run folders and TREC run files."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from distilkit.comparison.arguments import REFERENCES, StoredSystem, expand, shared_sets
from distilkit.errors import UserError
from distilkit.evaluation.measures import DEFAULT_MEASURES, canonical_all, evaluate
from distilkit.evaluation.policy import without_own
from distilkit.evaluation.trec import Qrels, read_qrels, read_run
from distilkit.files import content_key, sha256_file, sha256_once
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import JsonObject, flat, number, text
from distilkit.run_folders.results import RUN, PerQuery, StoredResults

DIGITS = 12
"""How many digits of a sha256 a report shows."""
CANDIDATES = ("passages", "queries", "candidates")
"""The parts of what results were made of that tell which texts were re-ranked."""
COUNTED_UP_TO = 50_000_000
"""A stored run of more bytes is not read for the sake of Judged@k alone."""
_SEED = re.compile(r"-seed\d+(?=$|-label_only$)")
"""The seed in the name of a suite's run; the twin's mark follows it."""
_OWN = ("name", "seed", "description", "license")
"""The keys of a recipe in which the runs of several seeds differ."""


@dataclass(frozen=True)
class SystemFiles:
    """The files behind a system's values, of one seed: what tables, plots and lists of single queries read.

    `run` is the TREC run, `results` the folder it lies in, which bare files have none of, and `stored` the run that was
    trained, which first stages, teachers and bare files have none of. `timed` is what was timed of it for this
    comparison, in place of what its cost.json says.
    """

    run: Path | None = None
    qrels: Path | None = None
    results: StoredResults | None = None
    stored: StoredRun | None = None
    timed: JsonObject = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    """The share of a system's first `cutoff` results that are judged, its mean over the judged queries."""

    cutoff: int
    share: float


@dataclass(frozen=True)
class System:
    """A system to compare: its name and, per measure, each judged query's value.

    `missing` are the judged queries without results (they score 0), `unjudged` counts its result queries without
    judgements, `own` those that are documents and left out of their own results, `kind` is bm25, teacher, twin, run or
    file, `notes` are sentences for the report. `eval_set` names the query set. Where it stands for several seeds,
    `per_query` has their means and `replicates` each seed's values. `fingerprint` is the first digits of the sha256 of
    its run files; `judgements` is the sha256 of what it was judged by, `candidates` a key of the texts and candidates
    that it re-ranked, empty where nothing says it.
    """

    name: str
    per_query: PerQuery
    missing: frozenset[str] = frozenset()
    unjudged: int = 0
    own: int = 0
    kind: str = "file"
    notes: tuple[str, ...] = ()
    eval_set: str | None = None
    replicates: tuple[PerQuery, ...] = ()
    origins: tuple[SystemFiles, ...] = ()
    judged: Judged | None = None
    fingerprint: str = ""
    judgements: str = ""
    candidates: str = ""

    @property
    def seeds(self) -> int:
        """The number of seeds that the values are means of."""
        return len(self.replicates) or 1


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
    asked = canonical_all(measures) if measures else None
    systems = []
    for name in sets:
        sources = expand(arguments, runs_dir, name)
        reader = _Reader(asked or _stated_measures(sources), qrels, sources, name)
        systems += _averaged(_distinct([(source, reader.read(source)) for source in sources]))
    return systems


def _stated_measures(sources: Sequence[StoredSystem]) -> list[str]:
    """Return the measures of the first run folder that states some, else the default ones."""
    for source in sources:
        summary = source.results.measures() if source.results is not None else None
        if summary is not None and summary.measures:
            return list(summary.measures)
    return list(DEFAULT_MEASURES)


@dataclass
class _Reader:
    """Reads sources under one choice of measures and judgements; `given` judgements overrule those of run folders."""

    measures: list[str]
    given: Path | None
    sources: Sequence[StoredSystem]
    eval_set: str
    known: dict[Path, Qrels] = field(default_factory=dict)
    looked_at: dict[tuple[str, str], tuple[frozenset[str], Judged | None]] = field(default_factory=dict)

    def read(self, source: StoredSystem) -> System:
        """Return a source's system; raises UserError for missing or broken files."""
        results = source.results
        if results is None:
            qrels = self.given or self._borrowed()
            if qrels is None:
                raise UserError(f"{source.path}: a TREC run needs judgements; give them with --qrels FILE")
            return self._computed(source, source.path, qrels)
        results.refuse_links()
        if self.given is None or not results.run.is_file():
            values = results.per_query()
            if all(measure in values for measure in self.measures):
                return self._stated(source, results, {measure: values[measure] for measure in self.measures})
        qrels = self.given or results.qrels
        if not results.run.is_file() or not qrels.is_file():
            absent = f"no {RUN}" if not results.run.is_file() else f"neither {qrels} nor --qrels FILE"
            names = " and ".join(self.measures)
            raise UserError(f"{results.table}: does not hold {names}, and there is {absent} to compute them from")
        return self._computed(source, results.run, qrels)

    def _borrowed(self) -> Path | None:
        """Return the first run folder's judgements, for files without any."""
        stored = [source.results.qrels for source in self.sources if source.results is not None]
        return next((qrels for qrels in stored if qrels.is_file()), None)

    def _computed(self, source: StoredSystem, path: Path, qrels_path: Path) -> System:
        """Return a system whose values are computed from its run."""
        qrels = self._judgements(qrels_path)
        share = f"Judged@{self._cutoff}"
        run, own = without_own(read_run(path))
        evaluation = evaluate(run, qrels, [*self.measures, share], own)
        if len(evaluation.missing) == len(evaluation.queries):
            raise UserError(f"{path}: has results for none of the {len(qrels)} queries judged in {qrels_path}")
        system = self._system(source, {name: evaluation.per_query[name] for name in self.measures}, path, qrels_path)
        return replace(
            system,
            missing=frozenset(evaluation.missing),
            unjudged=evaluation.unjudged,
            own=own,
            judged=Judged(self._cutoff, evaluation.means[share]),
        )

    def _stated(self, source: StoredSystem, results: StoredResults, values: PerQuery) -> System:
        """Return a system as its folder states it; the run is read for what the folder does not say."""
        summary, run = results.measures(), results.run
        policy = summary.policy if summary is not None else {}
        system = self._system(source, values, run if run.is_file() else None, results.qrels)
        # What its folder says that it was judged by, whatever lies beside it now.
        system = replace(system, judgements=text(results.made_of().get("judgements")) or system.judgements)
        missing: frozenset[str] = frozenset()
        judged = None
        if run.is_file() and (policy.get("missing") != 0 or run.stat().st_size <= COUNTED_UP_TO):
            answered, judged = self._look_at(run, results.qrels if results.qrels.is_file() else None)
            missing = frozenset(next(iter(values.values())).keys() - answered)
        unjudged, own = (int(number(policy.get(name)) or 0) for name in ("unjudged", "own"))
        return replace(system, missing=missing, judged=judged, unjudged=unjudged, own=own)

    def _look_at(self, run: Path, qrels: Path | None) -> tuple[frozenset[str], Judged | None]:
        """Return the queries that a run has results for, and the share of its first results that are judged.

        The runs of a suite have equal copies of what they are held against: each is read once.
        """
        key = sha256_once(run), sha256_once(qrels) if qrels is not None else ""
        if key not in self.looked_at:
            found, judged = read_run(run), None
            if qrels is not None:
                share = evaluate(found, self._judgements(qrels), [f"Judged@{self._cutoff}"])
                judged = Judged(self._cutoff, *share.means.values())
            self.looked_at[key] = frozenset(found), judged
        return self.looked_at[key]

    def _system(self, source: StoredSystem, values: PerQuery, run: Path | None, qrels: Path) -> System:
        judgements, results = qrels if qrels.is_file() else None, source.results
        made_of = results.made_of() if results is not None else {}
        read = run or (results.table if results is not None else source.path)
        of_runs = any(one.results is not None for one in self.sources)
        return System(
            name=source.name,
            per_query=values,
            kind=source.kind,
            notes=source.notes,
            eval_set=self.eval_set if of_runs else None,
            origins=(SystemFiles(run, judgements, results, source.stored),),
            fingerprint=sha256_file(read)[:DIGITS],
            judgements=sha256_once(judgements) if judgements else "",
            candidates=content_key([made_of.get(part) for part in CANDIDATES]) if made_of else "",
        )

    @property
    def _cutoff(self) -> int:
        """The depth that the shallowest measure looks to, 10 where none has any."""
        return min((int(name.rpartition("@")[2]) for name in self.measures if "@" in name), default=10)

    def _judgements(self, path: Path) -> Qrels:
        if path not in self.known:
            self.known[path] = read_qrels(path)
        return self.known[path]


def _distinct(read: Sequence[tuple[StoredSystem, System]]) -> list[tuple[StoredSystem, System]]:
    """Keep one of equal references; name those that differ after the first run that has them."""
    kept: list[tuple[StoredSystem, System]] = []
    found: dict[str, list[System]] = {kind: [] for kind in REFERENCES}
    for source, system in read:
        known = found.get(system.kind, [])
        if not any((one.per_query, one.missing) == (system.per_query, system.missing) for one in known):
            known.append(system)
            kept.append((source, system))
    return [
        (source, replace(one, name=f"{one.kind}-{source.run}") if len(found.get(one.kind, ())) > 1 else one)
        for source, one in kept
    ]


def _averaged(read: Sequence[tuple[StoredSystem, System]]) -> list[System]:
    """Return the systems, the runs of several seeds as one, where the first of them stands."""
    groups: dict[object, list[tuple[StoredSystem, System]]] = {}
    mixed = _of_several_versions(read)
    for place, (source, system) in enumerate(read):
        key = _key_of_seeds(source, system, mixed)
        group = groups.setdefault(place if key is None else key, [])
        if any(_seed(other) == _seed(source) for other, _ in group):
            groups[place] = [(source, system)]  # the same seed again is a repeat, which may well be what is asked about
        else:
            group.append((source, system))
    taken = {system.name for _, system in read}
    return [_mean([system for _, system in group], taken) for group in groups.values()]


def _of_several_versions(read: Sequence[tuple[StoredSystem, System]]) -> set[tuple[str, str]]:
    """Return strategy and student of runs whose records do not all have the same keys, as those of two versions."""
    keys: dict[tuple[str, str], set[frozenset[str]]] = {}
    for source, _ in read:
        if source.stored is not None:
            record = source.stored.record
            keys.setdefault((record.strategy, record.student), set()).add(frozenset(flat(record.resolved)))
    return {kind for kind, found in keys.items() if len(found) > 1}


def _chosen(resolved: JsonObject) -> JsonObject:
    """Return the keys of a recipe whose values are not the defaults; all of one that this version cannot read."""
    from distilkit.recipe import chosen
    from distilkit.settings import Recipe

    try:
        return chosen(Recipe.model_validate(resolved))
    except (ValueError, UserError):
        return flat(resolved)


def _key_of_seeds(source: StoredSystem, system: System, mixed: set[tuple[str, str]]) -> str | None:
    """Return what the runs of several seeds have in common; None for what stands alone, such as a run renamed."""
    if source.stored is None or source.renamed:
        return None
    record = source.stored.record
    settings = _chosen(record.resolved) if (record.strategy, record.student) in mixed else record.resolved
    shared = {key: value for key, value in settings.items() if key not in _OWN}
    queries = sorted(next(iter(system.per_query.values())))
    twin = source.kind == "twin" or record.twin_of is not None
    content = system.judgements, system.candidates
    try:
        return content_key([twin, shared, queries, record.data.get("fingerprint"), *content])
    except ValueError:  # a number that is not finite, which distilkit does not write
        return None


def _seed(source: StoredSystem) -> int | None:
    return source.stored.record.seed if source.stored is not None else None


def _mean(systems: Sequence[System], taken: set[str]) -> System:
    """Return the mean of a system's seeds, each seed's values kept, under a name that no other system has."""
    if len(systems) == 1:
        return systems[0]
    names = [system.name for system in systems]
    bases = {_SEED.sub("", name) for name in names}
    name = bases.pop() if len(bases) == 1 else names[0]
    if name in taken and name not in names:
        name = names[0]
    shares = [system.judged for system in systems if system.judged is not None]
    tables = [system.per_query for system in systems]
    return replace(
        systems[0],
        name=name,
        per_query=mean_per_query(tables),
        missing=frozenset.union(*(system.missing for system in systems)),
        unjudged=max(system.unjudged for system in systems),
        own=max(system.own for system in systems),
        notes=tuple(dict.fromkeys(note for system in systems for note in system.notes)),
        replicates=tuple(tables),
        origins=tuple(origin for system in systems for origin in system.origins),
        judged=Judged(shares[0].cutoff, math.fsum(one.share for one in shares) / len(shares)) if shares else None,
        fingerprint="+".join(system.fingerprint for system in systems),
    )


def mean_per_query(tables: Sequence[PerQuery]) -> PerQuery:
    """Return each query's mean over the tables of several seeds, which hold the same queries."""
    return {
        measure: {query: math.fsum(table[measure][query] for table in tables) / len(tables) for query in values}
        for measure, values in tables[0].items()
    }

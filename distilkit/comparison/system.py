"""One system of a comparison: what it scored per query, and the files that say so."""

from dataclasses import dataclass
from pathlib import Path

from distilkit.runs.read import StoredRun
from distilkit.runs.results import PerQuery, StoredResults


@dataclass(frozen=True)
class Origin:
    """The files behind a system's values, of one seed: what tables, plots and drill-downs read.

    `run` is the TREC run, `results` the folder it lies in, which bare files have none of, and `stored` the run that was
    trained, which first stages, teachers and bare files have none of.
    """

    run: Path | None = None
    qrels: Path | None = None
    results: StoredResults | None = None
    stored: StoredRun | None = None


@dataclass(frozen=True)
class Judged:
    """The share of a system's first `cutoff` results that are judged, on the mean over the judged queries."""

    cutoff: int
    share: float


@dataclass(frozen=True)
class System:
    """A system to compare: its name and, per measure, each judged query's value.

    `missing` are the judged queries without results (they score 0), `unjudged` counts its result queries without
    judgements, `kind` is bm25, teacher, twin, run or file, `notes` are sentences for the report. `eval_set` names the
    query set. Where it stands for several seeds, `per_query` has their means and `replicates` each seed's values.
    `fingerprint` and `judgements` are the first digits of the sha256 of its run files and of its judgements.
    """

    name: str
    per_query: PerQuery
    missing: frozenset[str] = frozenset()
    unjudged: int = 0
    kind: str = "file"
    notes: tuple[str, ...] = ()
    eval_set: str | None = None
    replicates: tuple[PerQuery, ...] = ()
    origins: tuple[Origin, ...] = ()
    judged: Judged | None = None
    fingerprint: str = ""
    judgements: str = ""

    @property
    def seeds(self) -> int:
        """How many seeds the values are of."""
        return len(self.replicates) or 1

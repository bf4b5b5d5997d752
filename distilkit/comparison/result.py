"""The result of a comparison, which every renderer and the terminal interface read."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, TypedDict

from distilkit.comparison.answer import BETTER, INCONCLUSIVE, WORSE, Answer
from distilkit.comparison.options import HIERARCHICAL
from distilkit.comparison.paired_tests import MarginKind
from distilkit.comparison.systems import System
from distilkit.comparison.table import ResultTable
from distilkit.run_folders.names import short_names


@dataclass(frozen=True)
class SystemMean:
    """A system's mean of one measure on one set, with its interval and the letters of baselines it differs from.

    `kind` is bm25, teacher, twin, run or file; chance and ceiling are rows that candidates and judgements give alone.
    `seed_deviation` is the standard deviation of the means of several seeds.
    """

    name: str
    measure: str
    n: int
    mean: float
    ci_low: float | None
    ci_high: float | None
    seeds: int
    superscripts: str
    set: str | None = None
    kind: str = "file"
    seed_deviation: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A system against a baseline on one measure and set; differences are system - baseline.

    None: there is no such value. `equivalence_p` and `equivalent` are None, too, unless equivalence was asked for.
    Where `p` is of a test over queries and seeds, `fixed_seeds_p` is that of the t-test over queries of each query's
    mean over the seeds, which speaks of the trained models alone, and `fixed_seeds_p_adjusted` is corrected like `p`.
    """

    system: str
    baseline: str
    measure: str
    n: int
    mean_difference: float
    ci_low: float | None
    ci_high: float | None
    t: float | None
    df: float
    p: float | None
    p_adjusted: float | None
    wilcoxon_p: float | None
    permutation_p: float | None
    cohens_dz: float | None
    wins: int
    ties: int
    losses: int
    noninferiority_t: float | None
    noninferiority_p: float | None
    non_inferior: bool | None
    minimum_detectable_difference: float | None
    queries_needed: int | None = None
    equivalence_p: float | None = None
    equivalent: bool | None = None
    fixed_seeds_p: float | None = None
    fixed_seeds_p_adjusted: float | None = None
    set: str | None = None


class JudgedShares(TypedDict):
    """Each system's share of first results, down to the cutoff, that are judged."""

    cutoff: int | None
    systems: dict[str, float]


class Policy(TypedDict):
    """How one query set was evaluated: the order of results, the queries, and by system what was left out or missing.

    `qrels` and `runs` are the first digits of the files' sha256.
    """

    order: str
    scores: str
    queries: str
    n: int
    left_out: int
    missing: dict[str, int]
    unjudged: dict[str, int]
    own: dict[str, int]
    qrels: list[str]
    runs: dict[str, str]
    judged: JudgedShares


Column = tuple[str | None, str]
"""A set and a measure: a column of the table of means."""

_EQUIVALENCE = ("equivalence_p", "equivalent")
_FIXED_SEEDS = ("fixed_seeds_p", "fixed_seeds_p_adjusted")


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a comparison: the options asked for, the systems' means and every comparison made.

    `family` counts the comparisons with a p, which `correction` was applied to; `letters` maps each baseline to the
    small letter that marks differences from it; `notes` are sentences on what was left out. `eval_set` is the query
    set's name where there is one, and `policy` its policy; `sets` holds the policy of each where there are several.
    `tables` are those asked for beside the means, `sources` the systems as they were read, for what goes deeper.
    `bounds` are the means of chance and ceiling, which no test takes part in. `answer` is what it comes to on the first
    measure. `budgets` has the labels and the training behind each system that states them.
    """

    baselines: tuple[str, ...]
    test: str
    correction: str
    family: int
    alpha: tuple[float, ...]
    margin: float
    policy: Policy
    systems: tuple[SystemMean, ...]
    comparisons: tuple[Comparison, ...]
    margin_kind: MarginKind
    pairs: str
    eval_set: str | None
    letters: dict[str, str]
    notes: tuple[str, ...] = ()
    seeds: str = "mean"
    equivalence: bool = False
    sets: dict[str, Policy] = field(default_factory=dict)
    tables: tuple[ResultTable, ...] = ()
    sources: tuple[System, ...] = field(default=(), repr=False, compare=False)
    bounds: tuple[SystemMean, ...] = ()
    budgets: dict[str, dict[str, float | None]] = field(default_factory=dict)
    answer: Answer | None = field(default=None, repr=False)

    @cached_property
    def short(self) -> dict[str, str]:
        """The systems' names as reports show them: without what all share."""
        return short_names(self.names)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """What each system that was read is, by name: bm25, teacher, twin, run or file."""
        return {one.name: one.kind for one in self.sources}

    @property
    def ranking(self) -> tuple[str, ...]:
        """The systems' names by the first measure, the best first."""
        first = self.answer.ranking if self.answer is not None else ()
        return (*first, *(name for name in self.names if name not in first))

    @property
    def names(self) -> tuple[str, ...]:
        """The systems' names in the table's order."""
        return tuple(dict.fromkeys(one.name for one in self.systems))

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures' names in the order asked."""
        return tuple(dict.fromkeys(one.measure for one in self.systems))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the table of means: each set's measures."""
        return tuple(dict.fromkeys((one.set, one.measure) for one in self.systems))

    @property
    def level(self) -> float:
        """The intervals' level of confidence: 1 - the larger alpha."""
        return 1 - max(self.alpha)

    @property
    def intervals_corrected(self) -> bool:
        """Whether intervals and p are of one test, the t-test, so that both can be corrected alike."""
        return self.test == "t-test"

    def outcome(self, one: Comparison) -> str:
        """Return `better`, `worse` or `inconclusive`, at the larger alpha after the correction."""
        if one.p_adjusted is None or one.p_adjusted >= max(self.alpha):
            return INCONCLUSIVE
        return BETTER if one.mean_difference > 0 else WORSE

    def policies(self) -> dict[str | None, Policy]:
        """Return each set's policy."""
        return dict(self.sets.items()) if self.sets else {self.eval_set: self.policy}

    def mean(self, name: str, measure: str, eval_set: str | None = None) -> SystemMean:
        """Return a system's mean of a measure, on the first set where none is named; raises KeyError without one."""
        for one in self.systems:
            if (one.name, one.measure) == (name, measure) and eval_set in (None, one.set):
                return one
        raise KeyError(name, measure, eval_set)

    def find(self, name: str, column: Column) -> SystemMean | None:
        """Return a system's mean in a column, None where the set has none of it."""
        return self._means.get((name, column))

    def best(self, measure: str, eval_set: str | None = None) -> float:
        """Return the highest mean of a measure, on one set or on all."""
        return max(one.mean for one in self.systems if one.measure == measure and eval_set in (None, one.set))

    @property
    def reference(self) -> str:
        """Whom the star is about: the teacher where one is a baseline, else the first baseline."""
        teachers = {"teacher", *(name for name, kind in self.kinds.items() if kind == "teacher")}
        return next((name for name in self.baselines if name in teachers), self.baselines[0])

    def starred(self, name: str, column: Column) -> bool:
        """Return whether a system is non-inferior to `reference`, as the star of Gao et al.'s table 1 says."""
        return (name, column) in self._stars

    @cached_property
    def _means(self) -> dict[tuple[str, Column], SystemMean]:
        return {(one.name, (one.set, one.measure)): one for one in self.systems}

    @cached_property
    def _stars(self) -> set[tuple[str, Column]]:
        return {
            (one.system, (one.set, one.measure))
            for one in self.comparisons
            if one.non_inferior and one.baseline == self.reference
        }

    def groups(self) -> Iterator[tuple[str, str, list[Comparison]]]:
        """Yield the comparisons of each measure (with its set, where there are several) and baseline that has any."""
        grouped: dict[tuple[Column, str], list[Comparison]] = {}
        for one in self.comparisons:
            grouped.setdefault(((one.set, one.measure), one.baseline), []).append(one)
        for column in self.columns:
            for baseline in self.baselines:
                if rows := grouped.get((column, baseline)):
                    yield self.label(column), baseline, rows

    def label(self, column: Column) -> str:
        """Return a column's name: the measure, and the set where there are several."""
        name, measure = column
        return f"{measure} on {name}" if len(self.sets) > 1 else measure

    def to_json(self) -> dict[str, Any]:
        """Return the plain value that `distilkit compare --format json` prints."""
        value = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name not in ("sources", "tables", "bounds", "answer")
        }
        value["answer"] = self.answer.to_json() if self.answer is not None else None
        value["forest"] = self.answer.forest_to_json() if self.answer is not None else None
        value["systems"] = [asdict(one) for one in (*self.systems, *self.bounds)]
        dropped = {*(() if self.equivalence else _EQUIVALENCE), *(() if self.seeds == HIERARCHICAL else _FIXED_SEEDS)}
        value["comparisons"] = [
            {key: item for key, item in asdict(one).items() if key not in dropped} for one in self.comparisons
        ]
        if self.tables:
            value["tables"] = [table.to_json() for table in self.tables]
        return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}

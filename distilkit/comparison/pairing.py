"""One query set of a comparison: which queries count, and every system paired with every baseline over them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from distilkit.comparison import paired_tests, resampling, seeded_test
from distilkit.comparison.margins import margin_tests
from distilkit.comparison.options import HIERARCHICAL, CompareOptions
from distilkit.comparison.paired_tests import Vector
from distilkit.comparison.result import Comparison, Policy
from distilkit.comparison.systems import DIGITS, System
from distilkit.errors import UserError
from distilkit.evaluation.policy import ORDER

SCORES = "finite; a run with any other is refused"

SystemMeasure = tuple[str, str]
"""A system's name and a measure."""


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


def policy(systems: Sequence[System], measures: Sequence[str], queries: Sequence[str], mode: str) -> Policy:
    """Return the policy as the report states it, with what each system lacks."""
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
        "own": {system.name: system.own for system in systems},
        "qrels": sorted({system.judgements[:DIGITS] for system in systems if system.judgements}),
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


@dataclass(frozen=True)
class Values:
    """One query set as arrays: each system's value per query, in one order of queries, and per seed [seed, query]."""

    eval_set: str | None
    names: list[str]
    measures: list[str]
    means: dict[SystemMeasure, Vector]
    replicates: dict[SystemMeasure, Vector]

    @property
    def n(self) -> int:
        """The number of queries."""
        return len(next(iter(self.means.values())))

    def rows(self, name: str, measure: str, seeds: str) -> Vector:
        """Return a system's values [seed, query]: each seed's in a test over queries and seeds, else their mean's."""
        return self.replicates[name, measure] if seeds == HIERARCHICAL else self.means[name, measure][np.newaxis]


def values_of(eval_set: str | None, systems: Sequence[System], measures: list[str], queries: list[str]) -> Values:
    """Return the systems' values over the queries chosen."""

    def array(table: dict[str, dict[str, float]], measure: str) -> Vector:
        return np.array([table[measure][query] for query in queries], dtype=np.float64)

    cells = [(system, measure) for system in systems for measure in measures]
    return Values(
        eval_set=eval_set,
        names=[system.name for system in systems],
        measures=measures,
        means={(system.name, measure): array(system.per_query, measure) for system, measure in cells},
        replicates={
            (system.name, measure): np.stack(
                [array(table, measure) for table in system.replicates or (system.per_query,)]
            )
            for system, measure in cells
        },
    )


def comparisons(values: Values, baselines: Sequence[str], options: CompareOptions) -> list[Comparison]:
    """Return the comparisons, uncorrected, by measure, then baseline, then system.

    Two baselines are compared once, the earlier one as the baseline.
    """
    done = {name: set(baselines[:place]) for place, name in enumerate(baselines)}
    triples = [
        (name, baseline, measure)
        for measure in values.measures
        for baseline in baselines
        if baseline in values.names
        for name in values.names
        if name != baseline and name not in done[baseline]
    ]
    if not triples:
        return []
    means = values.means
    differences = np.stack([means[name, measure] - means[baseline, measure] for name, baseline, measure in triples])
    permuted = resampling.permutation_p(differences)
    resampled: list[float | None] = [None] * len(triples)
    if options.test == "bootstrap":
        resampled = resampling.bootstrap_p(differences)
    found = []
    for place, (name, baseline, measure) in enumerate(triples):
        one = _comparison(name, baseline, measure, values, options)
        p = {"t-test": one.p, "wilcoxon": one.wilcoxon_p, "permutation": permuted[place], "bootstrap": resampled[place]}
        found.append(replace(one, permutation_p=permuted[place], p=p[options.test]))
    return found


def _comparison(name: str, baseline: str, measure: str, values: Values, options: CompareOptions) -> Comparison:
    """Return one comparison with the t-test's p; the p-values that are drawn for all comparisons at once come later."""
    differences = values.means[name, measure] - values.means[baseline, measure]
    x, y = (values.rows(one, measure, options.seeds) for one in (name, baseline))
    student = seeded_test.t_test(x, y, options.level)
    fixed = seeded_test.t_test(differences[np.newaxis]).p if options.hierarchical else None
    wins, ties, losses = paired_tests.wins_ties_losses(differences)
    return Comparison(
        system=name,
        baseline=baseline,
        measure=measure,
        n=len(differences),
        mean_difference=float(np.mean(differences)),
        ci_low=student.ci_low,
        ci_high=student.ci_high,
        t=student.t,
        df=student.df,
        p=student.p,
        p_adjusted=None,
        wilcoxon_p=paired_tests.wilcoxon_p(differences),
        permutation_p=None,
        cohens_dz=student.cohens_dz,
        wins=wins,
        ties=ties,
        losses=losses,
        minimum_detectable_difference=paired_tests.minimum_detectable_difference(differences),
        queries_needed=paired_tests.queries_needed(differences),
        fixed_seeds_p=fixed,
        set=values.eval_set,
        **margin_tests(x, y, options.margin, options.margin_kind, options.equivalence),
    )


def corrected_interval(one: Comparison, alpha: float, family: int) -> Comparison:
    """Return a comparison by t-test with the interval that agrees with its corrected p instead of its own.

    The interval's level is 1 - alpha·p/p_adjusted, that at which the correction tested this comparison (1 - alpha over
    the family's size where p_adjusted was cut to 1): it holds 0 exactly where p_adjusted is alpha or more.
    """
    if one.p is None or one.p_adjusted is None or one.ci_low is None or one.ci_high is None:
        return one
    tested = alpha * one.p / one.p_adjusted if 0 < one.p_adjusted < 1 else alpha / family
    reach = (one.ci_high - one.ci_low) / 2 * paired_tests.widened(one.df, 1 - alpha, 1 - tested)
    return replace(one, ci_low=one.mean_difference - reach, ci_high=one.mean_difference + reach)

"""The paired comparisons of one query set: every system with every baseline, on every measure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from distilkit.comparison import paired_tests, resampling
from distilkit.comparison.options import Options
from distilkit.comparison.paired_tests import Vector
from distilkit.comparison.result import Comparison
from distilkit.comparison.system import System

Cell = tuple[str, str]
"""A system's name and a measure."""


@dataclass(frozen=True)
class Values:
    """One query set as arrays: each system's value per query, in one order of queries, and per seed [seed, query]."""

    eval_set: str | None
    names: list[str]
    measures: list[str]
    means: dict[Cell, Vector]
    replicates: dict[Cell, Vector]

    @property
    def n(self) -> int:
        """The number of queries."""
        return len(next(iter(self.means.values())))


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


def drawn_means(values: Values) -> dict[Cell, Vector]:
    """Return each system's mean in every draw of queries and seeds."""
    return {cell: resampling.hierarchical_means(rows, cell[0]) for cell, rows in values.replicates.items()}


def comparisons(
    values: Values, baselines: Sequence[str], options: Options, drawn: dict[Cell, Vector]
) -> list[Comparison]:
    """Return the comparisons, uncorrected, by measure, then baseline, then system.

    Two baselines are compared once, the earlier one as the baseline. `drawn` has the means of hierarchical draws.
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
    if options.test == "bootstrap" and not options.hierarchical:
        resampled = resampling.bootstrap_p(differences)
    found = []
    for place, (name, baseline, measure) in enumerate(triples):
        one = _comparison(name, baseline, measure, values, options)
        p = {"t-test": one.p, "wilcoxon": one.wilcoxon_p, "permutation": permuted[place], "bootstrap": resampled[place]}
        one = replace(one, permutation_p=permuted[place], p=p[options.test])
        if options.hierarchical:
            draws = drawn[name, measure] - drawn[baseline, measure]
            found_interval = resampling.percentiles(draws, options.level, one.mean_difference)
            one = replace(one, ci_low=found_interval.low, ci_high=found_interval.high, p=found_interval.p)
        found.append(one)
    return found


def _comparison(name: str, baseline: str, measure: str, values: Values, options: Options) -> Comparison:
    """Return one comparison, with the t-test's p and those that need the other comparisons still open."""
    x, y = values.means[name, measure], values.means[baseline, measure]
    differences = x - y
    student = paired_tests.t_test(differences, options.level)
    wins, ties, losses = paired_tests.wins_ties_losses(differences)
    t, p = paired_tests.noninferiority(x, y, options.margin, options.margin_kind)
    equivalence = paired_tests.equivalence_p(x, y, options.margin, options.margin_kind) if options.equivalence else None
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
        noninferiority_t=t,
        noninferiority_p=p,
        non_inferior=_below(p),
        minimum_detectable_difference=paired_tests.minimum_detectable_difference(differences),
        queries_needed=paired_tests.queries_needed(differences),
        equivalence_p=equivalence,
        equivalent=_below(equivalence),
        set=values.eval_set,
    )


def _below(p: float | None) -> bool | None:
    return None if p is None else p < paired_tests.ALPHA

"""Systems, side by side over the same queries, with paired tests corrected over the whole report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import cast, get_args

import numpy as np

from distilkit.comparison import tests
from distilkit.comparison.corrections import adjust, corrections
from distilkit.comparison.letters import assign, parse_baselines, superscripts
from distilkit.comparison.queries import choose, policy
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean
from distilkit.comparison.systems import System
from distilkit.comparison.tests import MarginKind, Vector
from distilkit.errors import UserError, nearest
from distilkit.evaluation.measures import canonical_all

TESTS = ("t-test", "wilcoxon", "permutation", "bootstrap")
PAIRS = ("baseline", "all")
QUERIES = ("judged", "intersection")
NONINFERIORITY_ALPHA = 0.05


@dataclass(frozen=True)
class _Options:
    test: str
    level: float
    margin: float
    margin_kind: MarginKind


def compare(
    systems: Sequence[System],
    *,
    baselines: Sequence[str] | None = None,
    measures: str | Sequence[str] | None = None,
    pairs: str = "baseline",
    queries: str = "judged",
    test: str = "t-test",
    correction: str = "holm",
    alpha: Sequence[float] = (0.05, 0.01),
    noninferiority: float = 0.03,
    margin_kind: str = "relative",
    eval_set: str | None = None,
) -> ComparisonResult:
    """Return every system's means and the paired comparisons with the baselines.

    Two systems are compared once per measure: where both are baselines (or with `pairs="all"`, where every system is
    one), the earlier baseline is the baseline of the pair, so that the correction counts no test twice.
    `eval_set` is the query set's name for the report. Raises UserError for options or names that do not fit, and for
    systems that share no queries.
    """
    alpha = _checked(systems, pairs, queries, test, correction, alpha, noninferiority, margin_kind)
    names = [system.name for system in systems]
    chosen = _measures(systems, measures)
    asked = parse_baselines(baselines, names)
    if pairs == "all":
        asked |= {name: None for name in names if name not in asked}
    letters = assign(asked)
    ids = choose(systems, chosen, queries)
    values = {
        (system.name, measure): np.array([system.per_query[measure][query] for query in ids], dtype=np.float64)
        for system in systems
        for measure in chosen
    }
    options = _Options(test, 1 - alpha[0], noninferiority, cast(MarginKind, margin_kind))
    found = _corrected(_comparisons(names, list(asked), chosen, values, options), correction)
    adjusted = {(one.measure, frozenset((one.system, one.baseline))): one.p_adjusted for one in found}
    return ComparisonResult(
        baselines=tuple(asked),
        test=test,
        correction=corrections.resolve(correction),
        family=sum(one.p is not None for one in found),
        alpha=alpha,
        margin=noninferiority,
        policy=policy(systems, chosen, ids, queries),
        systems=tuple(
            _mean(
                name,
                measure,
                values[name, measure],
                1 - alpha[0],
                superscripts(name, measure, adjusted, letters, alpha),
            )
            for name in names
            for measure in chosen
        ),
        comparisons=tuple(found),
        margin_kind=margin_kind,
        pairs=pairs,
        eval_set=eval_set,
        letters=letters,
        notes=_notes(systems, found, len(ids), test, correction, alpha),
    )


def _comparisons(
    names: list[str],
    baselines: list[str],
    measures: list[str],
    values: dict[tuple[str, str], Vector],
    options: _Options,
) -> list[Comparison]:
    """Return the comparisons, uncorrected, by measure, then baseline, then system."""
    done = {name: set(baselines[:place]) for place, name in enumerate(baselines)}
    triples = [
        (name, baseline, measure)
        for measure in measures
        for baseline in baselines
        for name in names
        if name != baseline and name not in done[baseline]
    ]
    if not triples:
        return []
    differences = np.stack([values[name, measure] - values[baseline, measure] for name, baseline, measure in triples])
    permuted = tests.permutation_p(differences)
    resampled = tests.bootstrap_p(differences) if options.test == "bootstrap" else [None] * len(triples)
    found = []
    for place, (name, baseline, measure) in enumerate(triples):
        one = _comparison(name, baseline, measure, values, options)
        p = {"t-test": one.p, "wilcoxon": one.wilcoxon_p, "permutation": permuted[place], "bootstrap": resampled[place]}
        found.append(replace(one, permutation_p=permuted[place], p=p[options.test]))
    return found


def _comparison(
    name: str, baseline: str, measure: str, values: dict[tuple[str, str], Vector], options: _Options
) -> Comparison:
    """Return one comparison, with the t-test's p and those that need the other comparisons still open."""
    x, y = values[name, measure], values[baseline, measure]
    differences = x - y
    student = tests.t_test(differences, options.level)
    wins, ties, losses = tests.wins_ties_losses(differences)
    t, p = tests.noninferiority(x, y, options.margin, options.margin_kind)
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
        wilcoxon_p=tests.wilcoxon_p(differences),
        permutation_p=None,
        cohens_dz=student.cohens_dz,
        wins=wins,
        ties=ties,
        losses=losses,
        noninferiority_t=t,
        noninferiority_p=p,
        non_inferior=None if p is None else p < NONINFERIORITY_ALPHA,
        minimum_detectable_difference=tests.minimum_detectable_difference(differences),
    )


def _corrected(found: list[Comparison], correction: str) -> list[Comparison]:
    corrected = adjust([one.p for one in found], correction)
    return [replace(one, p_adjusted=p) for one, p in zip(found, corrected, strict=True)]


def _mean(name: str, measure: str, values: Vector, level: float, marks: str) -> SystemMean:
    interval = tests.t_test(values, level)
    mean = math.fsum(values) / len(values)
    return SystemMean(name, measure, len(values), mean, interval.ci_low, interval.ci_high, 1, marks)


def _notes(
    systems: Sequence[System], found: list[Comparison], n: int, test: str, correction: str, alpha: tuple[float, ...]
) -> tuple[str, ...]:
    """Return what the systems bring to say and whether the test can show anything at all after the correction."""
    notes = dict.fromkeys(note for system in systems for note in system.notes)
    floor, family = tests.smallest_p(test, n), sum(one.p is not None for one in found)
    if found and corrections.resolve(correction) in ("bonferroni", "holm") and floor * family >= alpha[0]:
        notes[
            f"The {test} test gives no p below {floor:.2g}, which {correction} over {family} comparisons takes above "
            f"{alpha[0]:g}: no difference can be significant; --test t-test has no such limit."
        ] = None
    return tuple(notes)


def _measures(systems: Sequence[System], asked: str | Sequence[str] | None) -> list[str]:
    measures = list(systems[0].per_query)
    if asked:
        given = [asked] if isinstance(asked, str) else list(asked)
        measures = given if all(name in measures for name in given) else canonical_all(given)
    for system in systems:
        for measure in measures:
            if measure not in system.per_query:
                raise UserError(
                    f"system {system.name!r} has no values of {measure}{nearest(measure, system.per_query)}"
                )
    return measures


def _checked(
    systems: Sequence[System],
    pairs: str,
    queries: str,
    test: str,
    correction: str,
    alpha: Sequence[float],
    margin: float,
    margin_kind: str,
) -> tuple[float, ...]:
    """Return the levels, the larger first; raises UserError for an option out of range."""
    if not systems:
        raise UserError("there is no system to compare")
    names = sorted(system.name for system in systems)
    twice = next((one for one, other in pairwise(names) if one == other), None)
    if twice is not None:
        raise UserError(f"two systems are called {twice!r}; rename one with NAME=PATH")
    for option, value, known in (
        ("--pairs", pairs, PAIRS),
        ("--queries", queries, QUERIES),
        ("--test", test, TESTS),
        ("--correction", correction, [*corrections]),
        ("--margin-kind", margin_kind, get_args(MarginKind)),
    ):
        if value not in known and not (option == "--correction" and value in corrections):
            raise UserError(f"{option}: there is no {value!r}{nearest(value, known)}")
    levels = tuple(sorted(set(alpha), reverse=True))
    if not 1 <= len(levels) <= 2 or not all(0 < level < 1 for level in levels):
        raise UserError("--alpha: expected one or two levels between 0 and 1, such as 0.05 and 0.01")
    if not (0 <= margin < 1 if margin_kind == "relative" else 0 <= margin < math.inf):
        raise UserError(f"--non-inferiority: expected a share from 0 to 1 or an absolute margin from 0, found {margin}")
    return levels

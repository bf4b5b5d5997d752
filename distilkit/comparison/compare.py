"""Systems, side by side over the same queries, with paired tests corrected over the whole report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from distilkit.comparison import bounds, pairing, recommend, resampling, run_files, seeded_test
from distilkit.comparison.content import notes_on_candidates, refuse_other_judgements
from distilkit.comparison.corrections import adjust
from distilkit.comparison.letters import assign, parse_baselines, superscripts
from distilkit.comparison.margins import margin_tests
from distilkit.comparison.options import CompareOptions
from distilkit.comparison.paired_tests import MarginKind
from distilkit.comparison.pairing import Values, choose, policy
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean
from distilkit.comparison.systems import System
from distilkit.errors import UserError, nearest
from distilkit.evaluation.measures import canonical_all
from distilkit.run_folders.names import short_names


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
    margin_kind: MarginKind = "relative",
    eval_set: str | None = None,
    equivalence: bool = False,
    seeds: str = "auto",
) -> ComparisonResult:
    """Return every system's means and the paired comparisons with the baselines.

    Two systems are compared once per measure and query set: where both are baselines (or with `pairs="all"`, where
    every system is one), the earlier baseline is the baseline of the pair, so that the correction counts no test twice.
    `eval_set` names the query set of systems that name none. `seeds="hierarchical"` takes interval and p from the
    t-test over queries and seeds, "mean" from the queries' means over the seeds; "auto" is the former where a system
    has several seeds and the test is the t-test. Raises UserError for options or names that do not fit, and for systems
    that share no queries.
    """
    chosen = CompareOptions(
        test, correction, tuple(alpha), noninferiority, margin_kind, equivalence, pairs, queries, seeds
    )
    options = chosen.checked().settled(several=any(system.seeds > 1 for system in systems))
    groups = _by_set(systems, eval_set)
    names = list(dict.fromkeys(system.name for system in systems))
    asked = parse_baselines(baselines, names)
    if pairs == "all":
        asked |= {name: None for name in names if name not in asked}
    letters, short = assign(asked), short_names(names)
    means: list[tuple[Values, SystemMean]] = []
    first: Values | None = None
    found: list[Comparison] = []
    policies, bounding = {}, list[SystemMean]()
    for name, members in groups.items():
        names_of_measures = _measures(members, measures)
        ids = choose(members, names_of_measures, queries)
        refuse_other_judgements(members, ids)
        policies[name] = policy(members, names_of_measures, ids, queries)
        bounding += bounds.of_set(members, names_of_measures, ids)
        values = pairing.values_of(name, members, names_of_measures, ids)
        first = first or values
        found += pairing.comparisons(values, list(asked), options)
        means += [(values, one) for one in _means(values, options)]
    found = _corrected(found, correction)
    kinds = {system.name: system.kind for system in systems}
    adjusted = {((one.set, one.measure), frozenset((one.system, one.baseline))): one.p_adjusted for one in found}
    marked = [
        replace(
            one,
            superscripts=superscripts(one.name, (one.set, one.measure), adjusted, letters, options.alpha),
            kind=kinds[one.name],
        )
        for _, one in sorted(means, key=lambda pair: names.index(pair[1].name))
    ]
    result = ComparisonResult(
        baselines=tuple(asked),
        test=options.test,
        correction=options.correction,
        family=sum(one.p is not None for one in found),
        alpha=options.alpha,
        margin=noninferiority,
        policy=next(iter(policies.values())),
        systems=tuple(marked),
        comparisons=tuple(found),
        margin_kind=margin_kind,
        pairs=pairs,
        eval_set=next(iter(groups)) if len(groups) == 1 else None,
        letters=letters,
        notes=(
            *dict.fromkeys(note for members in groups.values() for note in notes_on_candidates(members, short)),
            *_notes(systems, found, min(values.n for values, _ in means), options),
            *_tuning(systems, short),
        ),
        seeds=options.seeds,
        equivalence=equivalence,
        sets={str(name): one for name, one in policies.items()} if len(groups) > 1 else {},
        sources=tuple(systems),
        bounds=tuple(bounding),
        budgets={one.name: behind for one in systems if (behind := run_files.budget(one))},
    )
    return (
        result
        if first is None
        else with_answer(result, first, recommend.not_separable_from_best(result, first, options))
    )


def with_margin(result: ComparisonResult, margin: float, kind: MarginKind) -> ComparisonResult:
    """Return a result with another margin: what `compare` returns, without doing again what no margin changes."""
    values: dict[str | None, Values] = {}
    for name in dict.fromkeys(one.set for one in result.comparisons):
        members = list(run_files.of_set(result, name).values())
        measures = [measure for eval_set, measure in result.columns if eval_set == name]
        values[name] = pairing.values_of(name, members, measures, choose(members, measures, result.policy["queries"]))

    def anew(one: Comparison) -> Comparison:
        x, y = (values[one.set].rows(name, one.measure, result.seeds) for name in (one.system, one.baseline))
        return replace(one, **margin_tests(x, y, margin, kind, result.equivalence))

    found = tuple(anew(one) for one in result.comparisons)
    changed = replace(result, margin=margin, margin_kind=kind, comparisons=found)
    if result.answer is None or not values:
        return changed
    first = values[result.answer.set if result.sets else next(iter(values))]
    return with_answer(changed, first, result.answer.not_separable_from_best)


def with_answer(result: ComparisonResult, values: Values, not_separable: Sequence[str]) -> ComparisonResult:
    """Return a result with its answer, from the values of its first query set."""
    measure = result.columns[0][1]
    rows = {name: values.rows(name, measure, result.seeds) for name in values.names}
    return replace(result, answer=recommend.answer(result, rows, not_separable))


def _by_set(systems: Sequence[System], eval_set: str | None) -> dict[str | None, list[System]]:
    """Return the systems of each query set; raises UserError without any and for two of one name in one set."""
    if not systems:
        raise UserError("there is no system to compare")
    groups: dict[str | None, list[System]] = {}
    for system in systems:
        groups.setdefault(system.eval_set or eval_set, []).append(system)
    for members in groups.values():
        names = sorted(system.name for system in members)
        twice = next((one for one, other in pairwise(names) if one == other), None)
        if twice is not None:
            raise UserError(f"two systems are called {twice!r}; rename one with NAME=PATH")
    return groups


def _corrected(found: list[Comparison], correction: str) -> list[Comparison]:
    corrected, fixed = (adjust(p, correction) for p in ([one.p for one in found], [one.fixed_seeds_p for one in found]))
    return [
        replace(one, p_adjusted=p, fixed_seeds_p_adjusted=of_models)
        for one, p, of_models in zip(found, corrected, fixed, strict=True)
    ]


def _means(values: Values, options: CompareOptions) -> list[SystemMean]:
    """Return the means of one set, without their letters."""
    means = []
    for name in values.names:
        for measure in values.measures:
            scores, rows = values.means[name, measure], values.replicates[name, measure]
            interval = seeded_test.t_test(values.rows(name, measure, options.seeds), level=options.level)
            means.append(
                SystemMean(
                    name,
                    measure,
                    values.n,
                    math.fsum(scores) / values.n,
                    interval.ci_low,
                    interval.ci_high,
                    len(rows),
                    "",
                    values.eval_set,
                    seed_deviation=float(np.std(rows.mean(axis=1), ddof=1)) if len(rows) > 1 else None,
                )
            )
    return means


def _notes(systems: Sequence[System], found: list[Comparison], n: int, options: CompareOptions) -> tuple[str, ...]:
    """Return the systems' notes, and a warning where the correction leaves the test no chance to show a difference."""
    notes = dict.fromkeys(note for system in systems for note in system.notes)
    floor, family = resampling.smallest_p(options.test, n), sum(one.p is not None for one in found)
    level = options.alpha[0]
    if found and options.correction in ("bonferroni", "holm") and floor * family >= level:
        notes[
            f"The {options.test} test gives no p below {floor:.2g}, which the correction ({options.correction}) over "
            f"{family} comparisons raises above {level:g}, so that no difference can be significant; --test t-test has "
            "no such limit."
        ] = None
    if options.hierarchical and all(system.seeds == 1 for system in systems):
        notes["Every system has one seed, so that it is unknown how much results differ between seeds."] = None
    return tuple(notes)


def _tuning(systems: Sequence[System], short: Mapping[str, str]) -> list[str]:
    """Return what is to be said where systems of a table were tuned over grids of different sizes."""
    found = {system.name: count for system in systems if (count := run_files.grid_size(system)) is not None}
    if len(set(found.values())) < 2:
        return []
    listed = ", ".join(f"{short[name]} {count}" for name, count in found.items())
    said = "Systems were tuned unequally, which may favour those with more trials; settings tried on validation queries"
    return [f"{said}: {listed}."]


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

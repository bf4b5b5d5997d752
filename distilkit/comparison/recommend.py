"""How a comparison's answer is found: systems ranked, held against the best and the baseline, the cheapest taken."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from distilkit.comparison import margins, pairing, run_files, seeded_test
from distilkit.comparison.answer import Answer, ForestLine, NonInferior
from distilkit.comparison.corrections import adjust
from distilkit.comparison.options import CompareOptions
from distilkit.comparison.paired_tests import ALPHA, Vector
from distilkit.comparison.pairing import Values
from distilkit.comparison.result import Comparison, ComparisonResult


def answer(result: ComparisonResult, values: Mapping[str, Vector], not_separable: Sequence[str]) -> Answer:
    """Return the answer of a result, from its systems' values [seed, query] on the first measure.

    `not_separable` are the systems that `not_separable_from_best` returns, which no margin changes.
    """
    (eval_set, measure), baseline = result.columns[0], result.reference
    means = {name: result.mean(name, measure, eval_set).mean for name in values}
    ranking = sorted(means, key=lambda name: -means[name])
    pairs = _pairs(result, baseline)
    forest = [
        _line(result, values[name], values[baseline], means[name], pairs[name])
        if name in pairs
        else ForestLine(name, means[name], means[name] - means[baseline])
        for name in ranking
    ]
    passing = [line for line in forest if line.non_inferior]
    margin = result.margin * (means[baseline] if result.margin_kind == "relative" else 1.0)
    return Answer(
        measure=measure,
        set=eval_set,
        baseline=baseline,
        margin=result.margin,
        margin_kind=result.margin_kind,
        margin_low=-margin,
        ranking=tuple(ranking),
        best=ranking[0],
        not_separable_from_best=tuple(name for name in ranking if name in not_separable),
        non_inferior=tuple(NonInferior(line.name, line.smallest_margin) for line in passing),
        recommended=_cheapest(result, [line.name for line in passing]),
        forest=tuple(forest),
    )


def not_separable_from_best(result: ComparisonResult, values: Values, options: CompareOptions) -> list[str]:
    """Return the systems whose difference to the best one on the first measure is not significant.

    A pair that the report compares has its corrected p, so that the answer agrees with the letters; the p of the others
    are corrected over the comparisons of all systems with the best.
    """
    column = result.columns[0]
    measure = column[1]
    best = max(values.names, key=lambda name: result.mean(name, measure, column[0]).mean)
    known = {name: one.p_adjusted for name, one in _pairs(result, best).items()}
    if len(known) < len(values.names) - 1:
        found = pairing.comparisons(replace(values, measures=[measure]), [best], options)
        corrected = adjust([one.p for one in found], options.correction)
        known = {one.system: p for one, p in zip(found, corrected, strict=True)} | known
    # Without a p nothing can be tested: the difference does not vary, and one that is not zero is a difference.
    means = values.means
    return [
        name
        for name, p in known.items()
        if (p >= options.alpha[0] if p is not None else bool(np.all(means[name, measure] == means[best, measure])))
    ]


def _pairs(result: ComparisonResult, other: str) -> dict[str, Comparison]:
    """Return the first column's comparisons with a system, as with a baseline, by the name of the other one."""
    found = {}
    for one in result.comparisons:
        if (one.set, one.measure) == result.columns[0] and other in (one.system, one.baseline):
            name = one.baseline if one.system == other else one.system
            found[name] = one if one.baseline == other else _turned(one)
    return found


def _turned(one: Comparison) -> Comparison:
    """Return a comparison with system and baseline exchanged; margins, which are of one direction, are left out."""
    low, high = one.ci_low, one.ci_high
    return replace(
        one,
        system=one.baseline,
        baseline=one.system,
        mean_difference=-one.mean_difference,
        ci_low=None if high is None else -high,
        ci_high=None if low is None else -low,
        wins=one.losses,
        losses=one.wins,
        non_inferior=None,
    )


def _line(result: ComparisonResult, system: Vector, baseline: Vector, mean: float, one: Comparison) -> ForestLine:
    tests = margins.margin_tests(system, baseline, result.margin, result.margin_kind, result.equivalence)
    shown = one
    if result.intervals_corrected and result.correction != "none":
        shown = pairing.corrected_interval(one, max(result.alpha), result.family)
    smallest = margins.smallest_margin(system, baseline, result.margin_kind)
    difference = one.mean_difference
    low = high = None
    if smallest is not None and tests["noninferiority_p"] is not None:
        low = -smallest * (float(baseline.mean()) if result.margin_kind == "relative" else 1.0)
        high = seeded_test.t_test(system, baseline, 1 - 2 * ALPHA).ci_high
    return ForestLine(
        name=one.system,
        mean=mean,
        difference=difference,
        ci_low=shown.ci_low,
        ci_high=shown.ci_high,
        margin_low=low,
        margin_high=high,
        smallest_margin=None if smallest is None else max(0.0, smallest),
        non_inferior=tests["non_inferior"],
        verdict=result.outcome(one),
    )


def _cheapest(result: ComparisonResult, names: Sequence[str]) -> str | None:
    """Return the cheapest of some systems, which come the best first.

    Fewest operations per pair come first, then fewest parameters, then fewest bytes of weights. What states no cost is
    passed over; None where none does.
    """
    systems = run_files.first_set(result)
    found = []
    for place, name in enumerate(names):
        macs, parameters = (run_files.cost(systems[name], key) for key in ("macs_per_pair", "parameters"))
        if macs is not None and parameters is not None:
            weights = run_files.cost(systems[name], "weight_bytes")
            found.append((macs, parameters, math.inf if weights is None else weights, place, name))
    return min(found)[-1] if found else None

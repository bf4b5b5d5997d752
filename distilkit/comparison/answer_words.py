"""The answer of a comparison in words: what to take, what is best, what is non-inferior, and how its plot is read."""

import math
from collections.abc import Sequence

from distilkit.comparison import forest, run_files, wording
from distilkit.comparison.answer import BETTER, WORSE, Answer, ForestLine
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.tables.cost import amount
from distilkit.comparison.wording import Show, visible

_LISTED = 6
"""More names than this are counted."""


def answer(result: ComparisonResult, show: Show = visible) -> list[tuple[str, str]]:
    """Return the lines of the answer, each with the word that leads it; empty for a single system."""
    found = result.answer
    if found is None or len(found.ranking) < 2:
        return []
    return [("Take", _take(result, found, show)), ("Best", _best(result, found, show)), *_passing(result, found, show)]


def verdict(result: ComparisonResult, line: ForestLine) -> str:
    """Return a line's verdict: better, worse, non-inferior (3 %), inconclusive; `baseline` for the baseline's own."""
    if result.answer is not None and line.name == result.answer.baseline:
        return "baseline"
    if line.margin_low is None:
        return "equal" if line.difference == 0 else "not testable"
    if line.verdict != BETTER and line.non_inferior:
        said = wording.margin(result)
        return f"{WORSE}, {said}" if line.verdict == WORSE else said
    return line.verdict


def plot_title(result: ComparisonResult, found: Answer, show: Show = visible) -> str:
    """Return the heading of the forest plot."""
    return f"Difference to {show(result.short[found.baseline])} in {show(result.label((found.set, found.measure)))}"


def plot_legend(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return what is drawn, by its role, and what each means."""
    corrected = result.correction != "none" and result.intervals_corrected
    how = ", corrected as the p" if corrected else ", not corrected"
    return [
        ("decides", "90 % interval: non-inferior if its left end is in the band or right of it"),
        ("interval", f"{wording.level(result)} interval{how}: better or worse if it leaves out 0"),
        ("band", f"the margin, {wording.amount(result)}"),
        *([("cut", "the line goes on beyond the plot")] if result.answer and forest.is_cut(result.answer) else []),
    ]


def margin_text(value: float, kind: str) -> str:
    """Return a smallest margin, rounded up: `2.3 %`, or `0.0124` where it is absolute."""
    if kind == "relative":
        return f"{math.ceil(1000 * value - 1e-9) / 10:.1f} %"
    return f"{math.ceil(1e4 * value - 1e-9) / 1e4:.4f}"


def _take(result: ComparisonResult, found: Answer, show: Show) -> str:
    baseline = show(result.short[found.baseline])
    if found.recommended is not None:
        name = show(result.short[found.recommended])
        return (
            f"{name}, the cheapest that is non-inferior to {baseline}{_cost(result, found, found.recommended, show)}."
        )
    if found.non_inferior:
        return f"no system is named: none that is non-inferior to {baseline} states what it costs."
    near = [line for line in found.lines if line.smallest_margin is not None and line.non_inferior is False]
    least = min(near, key=lambda line: line.smallest_margin or 0.0, default=None)
    closest = ""
    if least is not None and least.smallest_margin is not None:
        from_ = margin_text(least.smallest_margin, found.margin_kind)
        closest = f"; {show(result.short[least.name])} comes closest and would be at {from_}"
    return f"no system is shown to be non-inferior to {baseline} at {wording.amount(result)}{closest}."


def _cost(result: ComparisonResult, found: Answer, name: str, show: Show) -> str:
    systems = run_files.first_set(result)
    own, other = (run_files.cost(systems[one], "macs_per_pair") for one in (name, found.baseline))
    if own is None:
        return ""
    beside = ""
    if own and other and own != other:
        baseline = show(result.short[found.baseline])
        share = f"{100 * own / other:.0f} % of" if own < other else f"{own / other:.3g} times"
        cheaper = f"; {baseline} itself is cheaper" if own > other else ""
        beside = f", {share} {baseline}'s {amount(other)}{cheaper}"
    return f" ({amount(own)} multiply-accumulates a pair{beside})"


def _best(result: ComparisonResult, found: Answer, show: Show) -> str:
    mean = next(line.mean for line in found.forest if line.name == found.best)
    label = show(result.label((found.set, found.measure)))
    told = f"{show(result.short[found.best])}, {label} {wording.number(mean)}"
    if not found.not_separable_from_best:
        return f"{told}; every other system is significantly below it."
    others = _listed([show(result.short[name]) for name in found.not_separable_from_best])
    corrected = "" if result.correction == "none" else f", {wording.correction_name(result)}"
    return f"{told}; not significantly above {others} (p at least {max(result.alpha):g}{corrected})."


def _passing(result: ComparisonResult, found: Answer, show: Show) -> list[tuple[str, str]]:
    if not found.non_inferior:
        return []
    told = []
    for one in found.non_inferior:
        margin = "" if one.smallest_margin is None else margin_text(one.smallest_margin, found.margin_kind)
        told.append(f"{show(result.short[one.name])} (from {margin})" if margin else show(result.short[one.name]))
    lead = f"Non-inferior to {show(result.short[found.baseline])} ({wording.amount(result)})"
    return [(lead, f"{_listed(told)}; in brackets the smallest margin that each meets.")]


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{', '.join(names[: _LISTED - 1])} and {len(names) - _LISTED + 1} more"

"""What the comparisons come to, in words."""

from collections import Counter
from collections.abc import Sequence

from distilkit.comparison.render import wording
from distilkit.comparison.render.wording import Show, visible
from distilkit.comparison.result import Comparison, ComparisonResult

SENTENCES = 8
"""More comparisons than this are counted, not told."""

_ORDER = {"run": 0, "file": 0, "twin": 1, "teacher": 2, "bm25": 3}


def verdicts(result: ComparisonResult, show: Show = visible, rest: str = "") -> list[str]:
    """Return a sentence per system and baseline, students first, and how the other comparisons ended.

    `rest` says where these are to be found.
    """
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for one in result.comparisons:
        pairs.setdefault((one.system, one.baseline), []).append(one)
    kinds = {system.name: system.kind for system in result.sources}
    order = sorted(pairs, key=lambda pair: _ORDER.get(kinds.get(pair[0], "file"), 0))
    told = [_sentence(result, *pair, pairs[pair], show) for pair in order[:SENTENCES]]
    others = [one for pair in order[SENTENCES:] for one in pairs[pair]]
    return told + ([_counted(result, others, rest)] if others else [])


def verdict(result: ComparisonResult, one: Comparison) -> str:
    """Return what one comparison shows: better, worse, not shown to differ; non-inferior, equivalent."""
    if one.p is None:
        if one.wins == one.losses == 0:
            return "equal on every query"
        return f"{'higher' if one.mean_difference > 0 else 'lower'} by the same on every query, which cannot be tested"
    said, margin = outcome(result, one), wording.amount(result)
    if said == "worse" and one.non_inferior:
        said += f", yet non-inferior at {margin}"
    elif said == "not shown to differ" and one.non_inferior is not None:
        said += f", {'' if one.non_inferior else 'nor to be '}non-inferior at {margin}"
    if one.equivalent is not None:
        said += f", {'' if one.equivalent else 'not shown to be '}equivalent within {margin}"
    return said


def outcome(result: ComparisonResult, one: Comparison) -> str:
    """Return `better`, `worse` or `not shown to differ`, at the larger alpha after the correction."""
    if one.p_adjusted is None or one.p_adjusted >= max(result.alpha):
        return "not shown to differ"
    return "better" if one.mean_difference > 0 else "worse"


def _sentence(result: ComparisonResult, system: str, baseline: str, rows: Sequence[Comparison], show: Show) -> str:
    """Return what one system's comparisons with a baseline show, measures of one outcome together."""
    told: dict[str, list[str]] = {}
    for one in rows:
        measure, difference = show(result.label((one.set, one.measure))), wording.signed(one.mean_difference)
        figures = f"{measure} {difference}"
        if one.p_adjusted is not None:
            figures = f"{measure} {difference} {wording.interval(one)}, p {_short(one.p_adjusted)}"
        told.setdefault(verdict(result, one), []).append(figures)
    parts = [f"{said} ({'; '.join(figures)})" for said, figures in told.items()]
    return f"{show(system)} against {show(baseline)}: {'; '.join(parts)}."


def _short(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _counted(result: ComparisonResult, others: Sequence[Comparison], rest: str) -> str:
    counts = Counter(outcome(result, one) for one in others)
    parts = [f"{count} {name}" for name, count in counts.most_common()]
    return f"{len(others)} further comparisons: {', '.join(parts)}{f' ({rest})' if rest else ''}."

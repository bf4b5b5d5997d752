"""Numbers and sentences that the renderers for people share."""

import unicodedata
from collections.abc import Callable
from typing import Any

from distilkit.comparison.result import Comparison, ComparisonResult

_TESTS = {
    "t-test": "paired t-test",
    "wilcoxon": "Wilcoxon signed-rank test",
    "permutation": "sign-flip permutation test",
    "bootstrap": "bootstrap test",
}
_CORRECTIONS = {"none": "not corrected", "bonferroni": "Bonferroni", "holm": "Holm", "bh": "Benjamini-Hochberg"}

Show = Callable[[str], str]

_LISTED = 6
"""More systems than this are summed up where a line would list them."""
_NONINFERIORITY = "t-test, p < 0.05, uncorrected"

NOTHING = "-"
"""What a table shows where there is no value."""


def visible(text: str) -> str:
    """Return a name with what does not print (controls, direction marks, broken characters) written as escapes."""
    return "".join(
        one if not unicodedata.category(one).startswith("C") and one not in "\u2028\u2029" else ascii(one)[1:-1]
        for one in text
    )


def number(value: float | None) -> str:
    """Return a mean with four decimals."""
    return NOTHING if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign."""
    return NOTHING if value is None else f"{value:+.4f}"


def interval(one: Comparison) -> str:
    """Return the interval of a difference."""
    if one.ci_low is None or one.ci_high is None:
        return NOTHING
    return f"[{signed(one.ci_low)}, {signed(one.ci_high)}]"


def p_value(value: float | None) -> str:
    """Return a p with four decimals, `<0.0001` below them."""
    if value is None:
        return NOTHING
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def answer(value: bool | None) -> str:
    """Return yes or no."""
    return NOTHING if value is None else "yes" if value else "no"


def amount(result: ComparisonResult) -> str:
    """Return the margin: `3%`, or `0.01` where it is absolute."""
    return f"{100 * result.margin:.4g}%" if result.margin_kind == "relative" else f"{result.margin:.4g}"


def margin(result: ComparisonResult) -> str:
    """Return non-inferiority as a column's head: `not 3% worse`."""
    return f"not {amount(result)} worse"


def within(result: ComparisonResult) -> str:
    """Return equivalence as a column's head: `within 3%`."""
    return f"within {amount(result)}"


def test_name(result: ComparisonResult) -> str:
    """Return the test's name in words."""
    return "bootstrap over queries and seeds" if result.seeds == "hierarchical" else _TESTS[result.test]


def correction_name(result: ComparisonResult) -> str:
    """Return the correction's name in words."""
    return _CORRECTIONS[result.correction]


def level(result: ComparisonResult) -> str:
    """Return the intervals' level of confidence: `95%`."""
    return f"{100 * result.level:.4g}%"


def legend(result: ComparisonResult, show: Show = visible) -> list[str]:
    """Return the sentences that explain the table of means; `show` writes names."""
    if not result.comparisons:
        return []
    return [_letters(result, show), *_star(result, show), *_seeds(result)]


def columns(result: ComparisonResult) -> list[str]:
    """Return the sentences that explain the columns of the comparisons."""
    return [
        f"Difference: system - baseline over the same queries, with its {level(result)} interval; dz: Cohen's, the "
        f"mean difference over its deviation; W/T/L: queries won, tied, lost; queries needed: for a difference this "
        f"large to be found with power 0.8 at 0.05; {NOTHING}: cannot be tested, the difference does not vary.",
        *_margins(result),
    ]


def policy(result: ComparisonResult, show: Show = visible) -> list[str]:
    """Return the sentences on queries, order, files and what was left out; `show` writes names."""
    orders = {(facts["order"], facts["scores"]) for facts in result.policies().values()}
    return [
        *(line for name, facts in result.policies().items() for line in _of_set(name, facts, show)),
        *(f"Order of results: {order}. Scores: {scores}." for order, scores in orders),
        *(show(note) for note in result.notes),
    ]


def _of_set(name: str | None, facts: dict[str, Any], show: Show) -> list[str]:
    judged = facts["queries"] == "judged"
    mode = "every judged query counts" if judged else f"those that every system answered; {facts['left_out']} left out"
    missing = "Judged queries without results" + (", scored 0" if judged else "")
    of_set = f" of the set {show(name)}" if name else ""
    return [
        f"Queries: {facts['n']}{of_set} ({mode}).",
        *_counts(missing, facts["missing"], show),
        *_counts("Queries with results but no judgements, ignored", facts["unjudged"], show),
        *_judged(facts["judged"], show),
        *_files(facts, show),
    ]


def _judged(facts: dict[str, Any], show: Show) -> list[str]:
    shares = facts["systems"]
    if not shares:
        return []
    if len(shares) > _LISTED:
        least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
        shares = {least: shares[least], most: shares[most]}
        text = " to ".join(f"{100 * share:.1f}% ({show(name)})" for name, share in shares.items())
    else:
        text = ", ".join(f"{show(name)} {100 * share:.1f}%" for name, share in shares.items())
    return [f"Judged@{facts['cutoff']} (first results that are judged): {text}."]


def _files(facts: dict[str, Any], show: Show) -> list[str]:
    parts = [f"judgements {' and '.join(facts['qrels'])}"] if facts["qrels"] else []
    parts += [f"{show(name)} {key}" for name, key in facts["runs"].items()]
    return [f"Files (sha256): {', '.join(parts)}."] if parts else []


def family(result: ComparisonResult) -> str:
    """Return the sentence on the correction: how many comparisons it took in."""
    count = f"{result.family} comparison{'' if result.family == 1 else 's'}"
    if result.correction == "none":
        return f"p of {count}, not corrected for their number"
    return f"p corrected by {correction_name(result)} over {count}"


def _letters(result: ComparisonResult, show: Show) -> str:
    """Return the line that says what the letters mean."""
    small, capital = f"p < {max(result.alpha):g}", f"p < {min(result.alpha):g}"
    pairs = [
        f"{letter.upper()}/{letter} {show(name)}" if len(result.alpha) > 1 else f"{letter} {show(name)}"
        for name, letter in result.letters.items()
    ]
    strength = f"capital: {capital}, small: {small}" if len(result.alpha) > 1 else small
    return (
        f"A letter after a mean: better or worse than this system beyond chance ({', '.join(pairs)}; {strength}; "
        f"{test_name(result)}, {family(result)})."
    )


def _star(result: ComparisonResult, show: Show) -> list[str]:
    first = result.baselines[0]
    if not any(one.baseline == first for one in result.comparisons):
        return []
    return [f"*: non-inferior to {show(first)} at {amount(result)} (one-sided {_NONINFERIORITY})."]


def _seeds(result: ComparisonResult) -> list[str]:
    if all(one.seeds == 1 for one in result.systems):
        return []
    how = "queries and seeds are drawn" if result.seeds == "hierarchical" else "each query's mean over the seeds counts"
    return [f"Several seeds of a system are one row: {how}."]


def _margins(result: ComparisonResult) -> list[str]:
    relative = result.margin_kind == "relative"
    bound = f"above {100 * (1 - result.margin):.4g}%" if relative else f"above the baseline - {result.margin:.4g}"
    of = " of the baseline" if relative else ""
    lines = [
        f"'{margin(result)}' (non-inferior): one-sided t-test that the system is {bound}{of}, p < 0.05, uncorrected."
    ]
    if result.equivalence:
        lines.append(
            f"'{within(result)}' (equivalent): two one-sided t-tests that the system is neither worse nor better than "
            "the baseline by the margin, p < 0.05, uncorrected."
        )
    return lines


def _counts(what: str, counts: dict[str, int], show: Show) -> list[str]:
    some = [f"{show(name)} {count}" for name, count in counts.items() if count]
    return [f"{what}: {', '.join(some)}."] if some else []

"""Numbers and sentences that the renderers for people share."""

import unicodedata
from collections.abc import Callable

from distilkit.comparison.result import Comparison, ComparisonResult

_TESTS = {
    "t-test": "paired t-test",
    "wilcoxon": "Wilcoxon signed-rank test",
    "permutation": "sign-flip permutation test",
    "bootstrap": "bootstrap test",
}
_CORRECTIONS = {"none": "not corrected", "bonferroni": "Bonferroni", "holm": "Holm", "bh": "Benjamini-Hochberg"}

Show = Callable[[str], str]

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


def margin(result: ComparisonResult) -> str:
    """Return the margin as a column's head: `not 3% worse`."""
    amount = f"{100 * result.margin:.4g}%" if result.margin_kind == "relative" else f"{result.margin:.4g}"
    return f"not {amount} worse"


def test_name(result: ComparisonResult) -> str:
    """Return the test's name in words."""
    return _TESTS[result.test]


def correction_name(result: ComparisonResult) -> str:
    """Return the correction's name in words."""
    return _CORRECTIONS[result.correction]


def level(result: ComparisonResult) -> str:
    """Return the intervals' level of confidence: `95%`."""
    return f"{100 * result.level:.4g}%"


def legend(result: ComparisonResult, show: Show = visible) -> list[str]:
    """Return the sentences that explain the letters and columns of a report; `show` writes names."""
    if not result.comparisons:
        return []
    return [_letters(result, show), _columns(result), _margin(result)]


def policy(result: ComparisonResult, show: Show = visible) -> list[str]:
    """Return the sentences on queries, order and what was left out; `show` writes names."""
    facts = result.policy
    judged = facts["queries"] == "judged"
    mode = "every judged query counts" if judged else f"those that every system answered; {facts['left_out']} left out"
    missing = "Judged queries without results" + (", scored 0" if judged else "")
    of_set = f" of the set {show(result.eval_set)}" if result.eval_set else ""
    return [
        f"Queries: {facts['n']}{of_set} ({mode}). Order of results: {facts['order']}.",
        *_counts(missing, facts["missing"], show),
        *_counts("Queries with results but no judgements, ignored", facts["unjudged"], show),
        *(show(note) for note in result.notes),
    ]


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


def _columns(result: ComparisonResult) -> str:
    return (
        f"Difference: system - baseline over the same queries, with its {level(result)} interval; W/T/L: queries won, "
        f"tied, lost; {NOTHING}: cannot be tested, the difference does not vary."
    )


def _margin(result: ComparisonResult) -> str:
    bound = (
        f"above {100 * (1 - result.margin):.4g}% of the baseline"
        if result.margin_kind == "relative"
        else f"above the baseline - {result.margin:.4g}"
    )
    return f"'{margin(result)}' (non-inferior): one-sided t-test that the system is {bound}, p < 0.05, uncorrected."


def _counts(what: str, counts: dict[str, int], show: Show) -> list[str]:
    some = [f"{show(name)} {count}" for name, count in counts.items() if count]
    return [f"{what}: {', '.join(some)}."] if some else []

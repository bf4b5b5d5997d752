"""Names and figures as tables and sentences write them."""

import unicodedata
from collections.abc import Callable

from distilkit.comparison.options import HIERARCHICAL
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
    """Return a text with what does not print (controls, direction marks, broken characters) written as escapes."""
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
    """Return the margin: `3 %`, or `0.01` where it is absolute."""
    return f"{100 * result.margin:.4g} %" if result.margin_kind == "relative" else f"{result.margin:.4g}"


def margin(result: ComparisonResult) -> str:
    """Return non-inferiority as a verdict and a column's head: `non-inferior (3 %)`."""
    return f"non-inferior ({amount(result)})"


def within(result: ComparisonResult) -> str:
    """Return equivalence as a verdict and a column's head: `equivalent (±3 %)`."""
    return f"equivalent (±{amount(result)})"


def test_name(result: ComparisonResult) -> str:
    """Return the test's name in words."""
    return "t-test over queries and seeds" if result.seeds == HIERARCHICAL else _TESTS[result.test]


def correction_name(result: ComparisonResult) -> str:
    """Return the correction's name in words."""
    return _CORRECTIONS[result.correction]


def level(result: ComparisonResult) -> str:
    """Return the intervals' level of confidence: `95 %`."""
    return f"{100 * result.level:.4g} %"

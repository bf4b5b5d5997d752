"""Names and figures as tables and sentences write them."""

import unicodedata
from collections.abc import Callable, Iterable

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


def labels(names: Iterable[str]) -> dict[str, str]:
    """Return each run's name without the suite's name and without the last words that all runs of the suite share.

    `table/tinybert-bert_cat-seed1` and `table/fine_tune-bert_cat-seed1` are `tinybert…` and `fine_tune…`. Names that
    stand alone, or would not be told apart, stay as they are.
    """
    found = {name: name for name in names}
    suites: dict[str, list[str]] = {}
    for name in found:
        suite, slash, _ = name.rpartition("/")
        if slash:
            suites.setdefault(suite, []).append(name)
    for suite, members in suites.items():
        if len(members) > 1:
            own = {name: name.removeprefix(f"{suite}/") for name in members}
            shared = _shared_end(list(own.values()))
            found |= {name: f"{tail.removesuffix(shared)}…" if shared else tail for name, tail in own.items()}
    return found if len(set(found.values())) == len(found) else {name: name for name in found}


def _shared_end(texts: list[str]) -> str:
    """Return the words, each behind a hyphen, that all texts end with; each keeps a word of its own."""
    words = [text.split("-") for text in texts]
    count = 0
    while all(len(one) > count + 1 for one in words) and len({one[-count - 1] for one in words}) == 1:
        count += 1
    return "".join(f"-{word}" for word in words[0][len(words[0]) - count :])


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

"""The result as Markdown tables, for issues, READMEs and model cards."""

import re
from collections.abc import Iterator, Sequence

from distilkit.comparison.render import wording
from distilkit.comparison.render.registry import Screen, formats
from distilkit.comparison.result import Comparison, ComparisonResult


@formats.register("markdown", "md")
def render_markdown(result: ComparisonResult, screen: Screen) -> str:
    """Return the means (best bold, letters as superscripts), the comparisons and what both mean."""
    lines = [*_means(result)]
    for measure, baseline, rows in result.groups():
        lines += ["", f"**{escaped(measure)} against {escaped(baseline)}** ({wording.test_name(result)})", ""]
        lines += _comparisons(result, rows)
    notes = [f"- {line}" for line in (*wording.legend(result, escaped), *wording.policy(result, escaped))]
    return "\n".join([*lines, "", *notes]) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in a table's cell too."""
    text = re.sub(r"([\\`*\[\]<>|~&$])", r"\\\1", wording.visible(text))
    # Underscores inside words are no markup; leaving them keeps the source readable.
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", text)


def _means(result: ComparisonResult) -> Iterator[str]:
    yield from _head(["System", *(escaped(measure) for measure in result.measures)])
    for name in result.names:
        yield _row([escaped(name), *(_mean(result, name, measure) for measure in result.measures)])


def _mean(result: ComparisonResult, name: str, measure: str) -> str:
    one = result.mean(name, measure)
    mean = wording.number(one.mean)
    letters = f"<sup>{one.superscripts}</sup>" if one.superscripts else ""
    return (f"**{mean}**" if one.mean == result.best(measure) else mean) + letters


def _comparisons(result: ComparisonResult, rows: Sequence[Comparison]) -> Iterator[str]:
    corrected = result.correction != "none"
    adjusted = [f"p {wording.correction_name(result)}"] if corrected else []
    interval = f"{wording.level(result)} interval"
    yield from _head(["System", "difference", interval, "p", *adjusted, "W/T/L", wording.margin(result)])
    for one in rows:
        yield _row(
            [
                escaped(one.system),
                wording.signed(one.mean_difference),
                wording.interval(one),
                wording.p_value(one.p),
                *([wording.p_value(one.p_adjusted)] if corrected else []),
                f"{one.wins}/{one.ties}/{one.losses}",
                wording.answer(one.non_inferior),
            ]
        )


def _head(names: Sequence[str]) -> list[str]:
    return [_row(names), "|---|" + "---:|" * (len(names) - 1)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

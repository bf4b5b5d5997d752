"""The forest plot as rows of a LaTeX table, drawn in the picture environment, which needs the package xcolor alone."""

from dataclasses import dataclass

from distilkit.comparison import answer_words, forest, wording
from distilkit.comparison.answer import Answer, ForestLine
from distilkit.comparison.forest import Scale
from distilkit.comparison.render import tex
from distilkit.comparison.render.tex import escaped, sentence
from distilkit.comparison.result import ComparisonResult

_PLOT = 44
"""Millimetres of the plot."""
_CHARACTER = 1.8
"""Millimetres that a character of a verdict takes, at the most."""
_TRIANGLES = r"\tiny$\triangleleft$", r"\tiny$\triangleright$"


@dataclass(frozen=True)
class ForestTable:
    """The types of a table's columns, the line of its head, its rows, and its caption."""

    columns: str
    head: list[str]
    rows: list[str]
    caption: str


def forest_table(result: ComparisonResult, names: float) -> ForestTable | None:
    """Return the differences to the baseline with their plot; None for a single system.

    `names` is the width of the column of names in millimetres.
    """
    answer = result.answer
    if answer is None or len(answer.ranking) < 2:
        return None
    within = forest.scale(answer)
    verdicts = [answer_words.verdict(result, line) for line in answer.forest]
    # Widths are fixed, for what a long table measures itself it has right in TeX's second run only.
    last = f"w{{l}}{{{_CHARACTER * max(map(len, verdicts)):.0f}mm}}"
    gap = r"@{\hspace{4pt}}"
    columns = f"{tex.paragraph(names)}w{{r}}{{12mm}}{gap}w{{l}}{{{_PLOT}mm}}{gap}{last}"
    axis = [f"{within.low:+.2g}".replace("-", "$-$"), f"{within.high:+.2g}"]
    head = [f"System & difference & \\makebox[{_PLOT}mm]{{{axis[0]}\\hfill {axis[1]}}} & \\\\"]
    rows = [
        f"{tex.breakable(result.short[line.name])} & {escaped(_difference(answer, line))} & "
        f"{_picture(answer, line, within)} & {sentence(verdict)} \\\\"
        for line, verdict in zip(answer.forest, verdicts, strict=True)
    ]
    legend = "; ".join(f"{forest.DRAWN[role]}: {sentence(text)}" for role, text in answer_words.plot_legend(result))
    return ForestTable(columns, head, rows, f"{answer_words.plot_title(result, answer, escaped)}. {legend}.")


def _difference(answer: Answer, line: ForestLine) -> str:
    return "" if line.name == answer.baseline else wording.signed(line.difference)


def _picture(answer: Answer, line: ForestLine, within: Scale) -> str:
    def at(value: float) -> float:
        return _PLOT * within.share(value)

    def rule(low: float | None, high: float | None, thickness: float) -> str:
        if low is None or high is None:
            return ""
        length = max(0.1, at(high) - at(low))
        return f"\\put({at(low):.2f},{0.9 - thickness / 2:.2f}){{\\rule{{{length:.2f}mm}}{{{thickness}mm}}}}"

    band = at(0.0) - at(answer.margin_low)
    shade = f"\\put({at(answer.margin_low):.2f},-1){{\\textcolor[gray]{{0.85}}{{\\rule{{{band:.2f}mm}}{{3.4mm}}}}}}"
    zero = f"\\put({at(0.0):.2f},-1){{\\rule{{0.1mm}}{{3.4mm}}}}"
    lines = rule(line.ci_low, line.ci_high, 0.15) + rule(line.margin_low, line.margin_high, 0.6)
    inside = within.low <= line.difference <= within.high
    point = f"\\put({at(line.difference):.2f},0.9){{\\circle*{{1.3}}}}" if inside else ""
    left, right = forest.beyond(line, within)
    ends = f"\\put(0,0.9){{\\makebox(0,0)[l]{{{_TRIANGLES[0]}}}}}" if left else ""
    ends += f"\\put({_PLOT},0.9){{\\makebox(0,0)[r]{{{_TRIANGLES[1]}}}}}" if right else ""
    drawn = f"\\begin{{picture}}({_PLOT},1.8){shade}{zero}{lines}{point}{ends}\\end{{picture}}"
    return f"{{\\setlength{{\\unitlength}}{{1mm}}{drawn}}}"

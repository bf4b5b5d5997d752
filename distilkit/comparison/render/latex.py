r"""The result as LaTeX tables for a paper: `\input` them, or copy them, in a class of one column or two.

They are floats over the whole width, with booktabs' rules: the means, and the differences to the baseline with their
forest plot. `longtable` is the format of everything.
"""

from collections.abc import Iterator

from distilkit.comparison import answer_words, forest, sentences, wording
from distilkit.comparison.answer import Answer, ForestLine
from distilkit.comparison.forest import Scale
from distilkit.comparison.render import tex
from distilkit.comparison.render.tex import escaped, sentence
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import ResultTable
from distilkit.comparison.tables import beside
from distilkit.comparison.tables.means import means

_HEAD = r"""% Tables by distilkit. The preamble of the paper needs \usepackage{array,booktabs,xcolor}.
"""
_WIDTH = 1.5
"""Millimetres that a character takes in \footnotesize, at the most but for some capitals."""
_PAGE, _NAMES = 98, 40
"""The characters of a line, and of a name."""
_ROWS = 44
"""The systems of one float, which holds no page break."""
_PLOT = 44
"""Millimetres of the forest plot."""


def render_latex(result: ComparisonResult) -> str:
    """Return the tables, the answer in words before them as comments."""
    parts = [_HEAD, *(f"% {lead}: {text}\n" for lead, text in answer_words.answer(result, wording.visible))]
    caption = [f"{_measures(result)} Bold: the best.", *sentences.legend(result, escaped)]
    parts += _floats(means(result), " ".join(map(sentence, caption)), "means")
    if result.answer is not None and len(result.answer.ranking) > 1:
        parts += _forest(result, result.answer)
    for table in beside(result):
        caption = [f"{escaped(table.title)}.", *map(escaped, table.notes)]
        parts += _floats(table, " ".join(caption), table.key)
    parts += [f"% {line}\n" for line in sentences.policy(result, wording.visible)]
    return "".join(parts)


def _measures(result: ComparisonResult) -> str:
    counts = [
        f"{facts['n']} queries{f' of {escaped(name)}' if name else ''}" for name, facts in result.policies().items()
    ]
    return f"Means over {' and '.join(counts)}."


def _floats(table: ResultTable, caption: str, label: str) -> Iterator[str]:
    """Yield a table as floats: cut by columns where it is wider than a page, by rows where it is longer."""
    for number, (places, sizes) in enumerate(tex.pieces(table, _NAMES, _PAGE)):
        columns = "".join([tex.paragraph(_WIDTH * _NAMES), *tex.columns(table, places, sizes, _WIDTH)])
        yield from _cut(columns, tex.head(table, places), list(tex.rows(table, places)), caption, label, number)


def _cut(columns: str, head: list[str], rows: list[str], caption: str, label: str, number: int = 0) -> Iterator[str]:
    for start in range(0, len(rows), _ROWS):
        first = start == 0 and number == 0
        title = f"{caption}}}\\label{{tab:{label}}}" if first else "(Continued.)}"
        lines = [r"\begin{table*}", r"\centering\footnotesize\setlength{\tabcolsep}{4pt}", f"\\caption{{{title}"]
        lines += [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", *head, r"\midrule"]
        lines += [*rows[start : start + _ROWS], r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
        yield "\n".join(lines) + "\n"


def _forest(result: ComparisonResult, answer: Answer) -> Iterator[str]:
    """Yield the differences to the baseline with their plot."""
    within = forest.scale(answer)
    columns = f"{tex.paragraph(_WIDTH * _NAMES)}w{{r}}{{12mm}}@{{\\hspace{{4pt}}}}l@{{\\hspace{{4pt}}}}l"
    axis = [f"{within.low:+.2g}".replace("-", "$-$"), f"{within.high:+.2g}"]
    head = [f"System & difference & \\makebox[{_PLOT}mm]{{{axis[0]}\\hfill {axis[1]}}} & \\\\"]
    rows = [
        f"{tex.breakable(result.short[line.name])} & {escaped(_difference(answer, line))} & "
        f"{_picture(answer, line, within)} & {sentence(answer_words.verdict(result, line))} \\\\"
        for line in answer.forest
    ]
    signs = {"decides": "thick", "interval": "thin", "band": "grey"}
    legend = "; ".join(f"{signs[role]}: {sentence(text)}" for role, text in answer_words.plot_legend(result))
    title = answer_words.plot_title(result, answer, escaped)
    yield from _cut(columns, head, rows, f"{title}. {legend}.", "differences")


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
    drawn = f"\\begin{{picture}}({_PLOT},1.8){shade}{zero}{lines}{point}\\end{{picture}}"
    return f"{{\\setlength{{\\unitlength}}{{1mm}}{drawn}}}"

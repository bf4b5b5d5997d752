r"""The result as LaTeX tables for a paper: `\input` them, or copy them, in a class of one column or two.

They are floats over the whole width, with booktabs' rules: the means, and the differences to the baseline with their
forest plot. `longtable` is the format of everything.
"""

from collections.abc import Iterator

from distilkit.comparison import answer_words, sentences, wording
from distilkit.comparison.render import tex
from distilkit.comparison.render.tex import escaped, sentence
from distilkit.comparison.render.tex_forest import forest_table
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


def render_latex(result: ComparisonResult) -> str:
    """Return the tables, the answer in words before them as comments."""
    parts = [_HEAD, *(f"% {lead}: {text}\n" for lead, text in answer_words.answer(result, wording.visible))]
    caption = [f"{_measures(result)} Bold: the best.", *sentences.legend(result, escaped)]
    parts += _floats(means(result), " ".join(map(sentence, caption)), "means")
    if (drawn := forest_table(result, _WIDTH * _NAMES)) is not None:
        parts += _cut(drawn.columns, drawn.head, drawn.rows, drawn.caption, "differences")
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
    for number, (columns, head, rows) in enumerate(tex.pieces(table, _NAMES, _PAGE, _WIDTH)):
        yield from _cut(columns, head, rows, caption, label, number)


def _cut(columns: str, head: list[str], rows: list[str], caption: str, label: str, number: int = 0) -> Iterator[str]:
    for start in range(0, len(rows), _ROWS):
        first = start == 0 and number == 0
        title = f"{caption}}}\\label{{tab:{label}}}" if first else "(Continued.)}"
        lines = [r"\begin{table*}", r"\centering\footnotesize\setlength{\tabcolsep}{4pt}", f"\\caption{{{title}"]
        lines += [f"\\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", *head, r"\midrule"]
        lines += [*rows[start : start + _ROWS], r"\bottomrule", r"\end{tabular}", r"\end{table*}"]
        yield "\n".join(lines) + "\n"

r"""The result as a LaTeX document of its own, of long tables: any number of systems, every comparison.

A table wider than a page is cut into pieces by columns.
"""

from collections.abc import Iterable, Iterator, Sequence

from distilkit.comparison import answer_words, sentences
from distilkit.comparison.render import tex
from distilkit.comparison.render.tex import escaped, sentence
from distilkit.comparison.render.tex_forest import forest_table
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import ResultTable
from distilkit.comparison.tables import beside
from distilkit.comparison.tables.means import comparisons, means

_PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[a4paper, landscape, margin=15mm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
\usepackage{xcolor}
\setlength{\parindent}{0pt}
\setlength{\tabcolsep}{4pt}
\setcounter{LTchunksize}{5000}
\begin{document}
\small\raggedright
"""
_WIDTH = 1.8
"""Millimetres that a character takes at this size, at the most but for some capitals."""
_PAGE = 146
_NAMES = 44


def render_longtable(result: ComparisonResult) -> str:
    """Return a document: the means, the verdicts in words, the comparisons, the tables asked for, and the policy."""
    told = [f"{lead}: {text}" for lead, text in answer_words.answer(result, escaped)]
    parts = [_PREAMBLE, *_list(told)]
    if (drawn := forest_table(result, _WIDTH * _NAMES)) is not None:
        parts += [_longtable(drawn.columns, drawn.head, drawn.rows), *_list([drawn.caption])]
    parts += _longtables(means(result))
    parts += _list([*sentences.legend(result, escaped), *sentences.verdicts(result, escaped)])
    for table in (*comparisons(result), *beside(result)):
        parts.append(f"\\subsection*{{{escaped(table.title)}}}")
        parts += _longtables(table)
        parts += _list([escaped(note) for note in table.notes])
    parts += _list([*(sentences.columns(result) if result.comparisons else []), *sentences.policy(result, escaped)])
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def _list(lines: Sequence[str]) -> list[str]:
    return [f"{sentence(line)}\\par" for line in lines] + ([r"\medskip"] if lines else [])


def _longtables(table: ResultTable) -> Iterator[str]:
    """Yield the table in as many pieces as the page's width asks for, each with the names."""
    for columns, head, rows in tex.pieces(table, _NAMES, _PAGE, _WIDTH):
        yield _longtable(columns, head, rows)


def _longtable(columns: str, head: Iterable[str], rows: Iterable[str]) -> str:
    lines = [f"\\begin{{longtable}}{{@{{}}{columns}@{{}}}}", r"\toprule", *head]
    lines += [r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot", *rows]
    return "\n".join([*lines, r"\end{longtable}"])

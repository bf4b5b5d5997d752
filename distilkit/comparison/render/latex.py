r"""The result as a LaTeX document of booktabs tables that compiles as it is; its tables can be copied into a paper.

Every table is a longtable, so that any number of systems fits; one wider than a page is cut into pieces by columns.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from distilkit.comparison import sentences, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import Cell, ColumnHead, ResultTable
from distilkit.comparison.tables.means import comparisons, means

_PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage[a4paper, landscape, margin=15mm]{geometry}
\usepackage{array}
\usepackage{booktabs}
\usepackage{longtable}
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
_MARKS = 14
"""Letters that stand behind a number on one line; longer ones are broken."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "{''}", "`": "{`}", "'": "{'}", "-": "{-}", "[": "{[}", "]": "{]}", "*": "{*}",
}  # fmt: skip
"""Brackets and stars are told apart from the options of the line break before them, hyphens from dashes."""
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u030c": "v",
    "\u0327": "c",
}  # fmt: skip


def render_latex(result: ComparisonResult) -> str:
    """Return a document: the means, the verdicts in words, the comparisons, the tables asked for, and the policy."""
    parts = [_PREAMBLE, *_longtables(means(result))]
    parts += _list([*sentences.legend(result, escaped), *sentences.verdicts(result, escaped)])
    for table in (*comparisons(result), *result.tables):
        parts.append(f"\\subsection*{{{escaped(table.title)}}}")
        parts += _longtables(table)
        parts += _list([escaped(note) for note in table.notes])
    parts += _list([*(sentences.columns(result) if result.comparisons else []), *sentences.policy(result, escaped)])
    return "\n".join([*parts, r"\end{document}"]) + "\n"


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it is; a character that its fonts lack is written as U+XXXX."""
    return "".join(_letter(one) for one in wording.visible(text))


def _letter(one: str) -> str:
    if one in _SPECIAL:
        return _SPECIAL[one]
    if one.isascii():
        return one
    base, *accents = list(unicodedata.normalize("NFD", one))
    if base.isascii() and base.isalpha() and len(accents) == 1 and accents[0] in _ACCENTS:
        return f"\\{_ACCENTS[accents[0]]}{{{base}}}"
    return f"U+{ord(one):04X}"


def _sentence(text: str) -> str:
    """Return one of our own sentences, its names escaped already, with what LaTeX reads otherwise."""
    text = text.replace("--", "-{}-")
    return re.sub(r"(?<!\\)([%&#])", r"\\\1", text).replace("<", r"\textless{}").replace(">", r"\textgreater{}")


def _list(lines: Sequence[str]) -> list[str]:
    return [f"{_sentence(line)}\\par" for line in lines] + ([r"\medskip"] if lines else [])


def _longtables(table: ResultTable) -> Iterator[str]:
    """Yield the table in as many pieces as the page's width asks for, each with the names."""
    sizes = [max([_words(head), *(_size(row[place]) for row in table.rows)]) for place, head in enumerate(table.heads)]
    places = list(range(1, len(table.heads)))
    while places:
        taken = 1
        while taken < len(places) and _NAMES + sum(sizes[place] + 2 for place in places[: taken + 1]) <= _PAGE:
            taken += 1
        yield _longtable(table, places[:taken], sizes)
        places = places[taken:]


def _longtable(table: ResultTable, places: Sequence[int], sizes: Sequence[int]) -> str:
    align = "l" if table.key == "means" else "r"
    columns = [_paragraph(_NAMES)]
    # Widths are fixed, for what TeX measures itself it has right in its second run only.
    columns += [
        _paragraph(sizes[place])
        if any(_is_long(row[place]) for row in table.rows)
        else f"w{{{align}}}{{{_WIDTH * sizes[place]:.0f}mm}}"
        for place in places
    ]
    heads = [table.heads[0], *(table.heads[place] for place in places)]
    lines = [f"\\begin{{longtable}}{{@{{}}{''.join(columns)}@{{}}}}", r"\toprule"]
    lines += _groups(heads)
    lines += [" & ".join(_breakable(head.name) for head in heads) + r" \\", r"\midrule", r"\endhead"]
    lines += [r"\bottomrule", r"\endfoot"]
    for row in table.rows:
        cells = [_breakable(row[0].text), *(_cell(row[place]) for place in places)]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\end{longtable}"])


def _paragraph(size: int) -> str:
    return f">{{\\raggedright\\arraybackslash}}p{{{_WIDTH * size:.0f}mm}}"


def _groups(heads: Sequence[ColumnHead]) -> list[str]:
    """Return the line of heads that several columns share, with its rules."""
    if not any(head.group for head in heads):
        return []
    cells, rules, place = [], [], 1
    for group, members in groupby(heads, key=lambda head: head.group):
        count = len(list(members))
        cells.append(f"\\multicolumn{{{count}}}{{c}}{{{escaped(group)}}}" if group else " & ".join([""] * count))
        rules += [f"\\cmidrule(lr){{{place}-{place + count - 1}}}"] if group else []
        place += count
    return [" & ".join(cells) + r" \\", "".join(rules)]


def _cell(cell: Cell) -> str:
    text = f"\\textbf{{{escaped(cell.text)}}}" if cell.bold else escaped(cell.text)
    marks = ("*" if cell.star else "") + cell.marks
    if not marks:
        return text
    if len(marks) <= _MARKS:
        return f"{text}\\textsuperscript{{{marks}}}"
    return text + "".join(
        f"\\textsuperscript{{{part}}}\\allowbreak{{}}" for part in re.findall(r"\*|[A-Za-z]\d*", marks)
    )


def _breakable(text: str) -> str:
    """Return a name with its line breaks: after anything but a letter or digit, and in a run of more than 12."""
    parts, run = [], 0
    for one in wording.visible(text):
        run = run + 1 if one.isalnum() else 0
        parts.append(_letter(one) + (r"\allowbreak{}" if (run == 0 and one != " ") or run > 12 else ""))
    return "".join(parts)


def _is_long(cell: Cell) -> bool:
    return len(cell.marks) + cell.star > _MARKS


def _size(cell: Cell) -> int:
    """Return how many digits' widths a cell takes; letters are set smaller."""
    marks = len(cell.marks) + cell.star
    return len(cell.text) + round(0.75 * marks if marks <= _MARKS else 0.75 * 2 * _MARKS)


def _words(head: ColumnHead) -> int:
    return len(head.name) + 1

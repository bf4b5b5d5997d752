"""What LaTeX renderers share: texts that LaTeX prints as they are, cells with their marks, heads of several columns."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby

from distilkit.comparison import wording
from distilkit.comparison.table import Cell, ColumnHead, ResultTable, cut

MARKS = 14
"""Letters that stand behind a number on one line; longer ones are broken."""
_SHORT = 8
"""A word of several parts is not broken behind one that ends within this many characters."""
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "{''}", "`": "{`}", "'": "{'}", "-": "{-}", "[": "{[}", "]": "{]}", "*": "{*}",
    "·": r"\textperiodcentered{}", "±": r"$\pm$", "…": r"\ldots{}",
}  # fmt: skip
"""Brackets and stars are told apart from the options of the line break before them, hyphens from dashes."""
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r", "\u030c": "v",
    "\u0327": "c",
}  # fmt: skip


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


def sentence(text: str) -> str:
    """Return one of our own sentences, its names escaped already, with what LaTeX reads otherwise."""
    text = text.replace("--", "-{}-").replace("±", r"$\pm$").replace("·", r"\textperiodcentered{}")
    return re.sub(r"(?<!\\)([%&#])", r"\\\1", text).replace("<", r"\textless{}").replace(">", r"\textgreater{}")


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


def cell(one: Cell) -> str:
    """Return a cell, bold where it is the best, with its marks as superscripts."""
    text = f"\\textbf{{{escaped(one.text)}}}" if one.bold else escaped(one.text)
    marks = ("*" if one.star else "") + one.marks
    if not marks:
        return text
    if len(marks) <= MARKS:
        return f"{text}\\textsuperscript{{{marks}}}"
    return text + "".join(
        f"\\textsuperscript{{{part}}}\\allowbreak{{}}" for part in re.findall(r"\*|[A-Za-z]\d*", marks)
    )


def breakable(text: str) -> str:
    """Return a name with its line breaks: after anything but a letter or digit, and in a run of more than 12.

    Short words such as bert_dot stay on one line.
    """
    parts, run, word = [], 0, 0
    for one in wording.visible(text):
        run = run + 1 if one.isalnum() else 0
        word = word + 1 if run or one == "_" else 0
        may_break = run > 12 or (run == 0 and one != " " and not 0 < word <= _SHORT)
        parts.append(_letter(one) + (r"\allowbreak{}" if may_break else ""))
    return "".join(parts)


def pieces(table: ResultTable, names: int, page: int, millimetres: float) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the types of the columns, the lines of the head and the rows of each piece that a table is cut into.

    Widths are in characters, each of so many `millimetres`; every piece has the names, which take `names`.
    """
    sizes = [
        max([len(head.name) + 1, *(_size(row[place]) for row in table.rows)]) for place, head in enumerate(table.heads)
    ]
    for places in cut([size + 2 for size in sizes], names, page):
        types = [paragraph(millimetres * names), *_columns(table, places, sizes, millimetres)]
        yield "".join(types), _head(table, places), list(_rows(table, places))


def _columns(table: ResultTable, places: Sequence[int], sizes: Sequence[int], millimetres: float) -> list[str]:
    """Return the columns' types; `millimetres` is what a character takes."""
    align = "l" if table.key == "means" else "r"
    # Widths are fixed, for what TeX measures itself it has right in its second run only.
    return [
        paragraph(millimetres * sizes[place])
        if any(is_long(row[place]) for row in table.rows)
        else f"w{{{align}}}{{{millimetres * sizes[place]:.0f}mm}}"
        for place in places
    ]


def paragraph(millimetres: float) -> str:
    """Return the type of a column whose text is broken into lines."""
    return f">{{\\raggedright\\arraybackslash}}p{{{millimetres:.0f}mm}}"


def _rows(table: ResultTable, places: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a table's rows: the name, then the cells of some columns."""
    for row in table.rows:
        yield " & ".join([breakable(row[0].text), *(cell(row[place]) for place in places)]) + r" \\"


def _head(table: ResultTable, places: Sequence[int]) -> list[str]:
    """Return the lines of a table's head: groups, where there are some, and names."""
    heads = [table.heads[0], *(table.heads[place] for place in places)]
    return [*_groups(heads), " & ".join(breakable(one.name) for one in heads) + r" \\"]


def is_long(one: Cell) -> bool:
    """Return whether a cell has more marks than a line holds."""
    return len(one.marks) + one.star > MARKS


def _size(one: Cell) -> int:
    """Return how many digits' widths a cell takes; letters are set smaller."""
    marks = len(one.marks) + one.star
    return len(one.text) + round(0.75 * marks if marks <= MARKS else 0.75 * 2 * MARKS)

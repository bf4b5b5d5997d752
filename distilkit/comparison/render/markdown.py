"""The result as Markdown tables, for issues, READMEs and model cards."""

import re
from collections.abc import Iterator

from distilkit.comparison import answer_words, sentences, wording
from distilkit.comparison.render.text import forest_plot
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import Cell, ResultTable
from distilkit.comparison.tables import beside
from distilkit.comparison.tables.means import comparisons, means

_WIDTH = 100
"""The columns of the forest plot."""


def render_markdown(result: ComparisonResult) -> str:
    """Return the answer, the means (best bold, letters as superscripts), the comparisons and what they mean."""
    lines = [f"- **{lead}**: {text}" for lead, text in answer_words.answer(result, escaped)]
    if lines:
        plot = "\n".join(line.plain.rstrip() for line in forest_plot(result, _WIDTH))
        lines += ["", "```text", plot.replace("`", "'"), "```", ""]
    lines += [*_table(means(result)), ""]
    lines += [f"- {line}" for line in sentences.verdicts(result, escaped)]
    for table in (*comparisons(result), *beside(result)):
        lines += ["", f"**{escaped(table.title)}**", "", *_table(table)]
        lines += ["", *(f"- {escaped(note)}" for note in table.notes)] if table.notes else []
    explained = sentences.columns(result) if result.comparisons else []
    legend = _starless(sentences.legend(result, escaped))
    below = (*legend, *explained, *sentences.policy(result, escaped))
    return "\n".join([*lines, "", *(f"- {line}" for line in below)]) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in a table's cell too."""
    text = re.sub(r"([\\`*\[\]>|$])", r"\\\1", wording.visible(text))
    # Python-Markdown, which MkDocs reads pages with, would show a backslash before these.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("~", "&#126;")
    # Underscores inside words are not markup; leaving them keeps the source readable.
    return re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", text)


def _starless(lines: list[str]) -> list[str]:
    return [f"\\{line}" if line.startswith("*") else line for line in lines]


def _table(table: ResultTable) -> Iterator[str]:
    heads = [escaped(head.full) for head in table.heads]
    yield _row(heads)
    yield "|---|" + "---:|" * (len(heads) - 1)
    for row in table.rows:
        yield _row([_cell(cell) for cell in row])


def _cell(cell: Cell) -> str:
    text = escaped(cell.text) if isinstance(cell.value, str) else cell.text
    marks = f"<sup>{cell.marks}</sup>" if cell.marks else ""
    return (f"**{text}**" if cell.bold else text) + ("\\*" if cell.star else "") + marks


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""Matchmaker's seven columns: those of the five by texts, and after each score the scores of the text's parts.

`pos_score pos_passage_scores neg_score neg_passage_scores query pos_text neg_text`; the parts' scores are not read.
"""

from collections.abc import Iterator
from pathlib import Path

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.formats.tsv import has_numbers, read_columns

SCORES, TEXTS = (0, 2), (4, 5, 6)


def read(path: Path) -> Iterator[Block]:
    """Yield a positive and a negative row for each line of seven columns."""
    return read_columns(path, 7, SCORES, TEXTS)


FORMATS.register("tsv_passages")(
    Format(
        "seven tabbed columns: pos_score pos_passage_scores neg_score neg_passage_scores query pos_text neg_text",
        lambda head: has_numbers(head, 7, SCORES),
        read,
        holds="texts",
    )
)

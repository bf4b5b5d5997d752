"""SBERT's hard negatives: a JSON object a line, `{qid, pos: [{pid, ce-score}], neg: {system: [{pid, ce-score}]}}`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distilkit.data.teacher_scores.blocks import Block, Row, blocks, identifier, number, refuse
from distilkit.data.teacher_scores.formats.base import FORMATS, Format
from distilkit.data.teacher_scores.head import json_rows


def read(path: Path) -> Iterator[Block]:
    """Yield a row for each positive, and for each negative of each system."""
    return blocks(path, _rows(path))


def _rows(path: Path) -> Iterator[Row]:
    for file, place, row in json_rows(path, dict):
        query = identifier(file, place, row.get("qid"))
        negatives = row.get("neg", {})
        if not isinstance(negatives, dict):
            refuse(file, place, f"expected neg to be an object, a list for each system, got {negatives!r:.40}")
        for passages in (row.get("pos", []), *negatives.values()):
            if not isinstance(passages, list):
                refuse(file, place, f"expected a list of passages, got {passages!r:.40}")
            for passage in passages:
                yield _row(file, place, query, passage)


def _row(file: Path, place: int, query: str, passage: Any) -> Row:
    if not isinstance(passage, dict) or "ce-score" not in passage:
        refuse(file, place, f"expected passages as {{pid, ce-score}}, got {passage!r:.40}")
    ids = query, identifier(file, place, passage.get("pid"))
    return Row(place, ids, number(file, place, passage["ce-score"]))


FORMATS.register("sbert_hard_negatives")(
    Format(
        "JSON lines: {qid, pos: [{pid, ce-score}], neg: {system: [{pid, ce-score}]}}",
        lambda head: isinstance(head.value, dict) and {"qid", "pos", "neg"} <= {*head.value},
        read,
    )
)

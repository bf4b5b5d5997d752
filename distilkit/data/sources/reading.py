"""Line by line readers of the text formats that collections come in; every error names the file and the line."""

import json
import math
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from distilkit.errors import UserError
from distilkit.files import open_text


class Row(NamedTuple):
    """A line of a file: where it stands, the ids that identify it, and what it says of them."""

    line: int
    key: tuple[str, ...]
    value: Any


Reader = Callable[[Path], Iterator[Row]]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of the lines that are not blank; raises UserError for a file that is not UTF-8 or gzip."""
    number = 0
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                text = line.rstrip("\r\n")
                if text.strip():
                    yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text, near line {number + 1}; expected UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read after line {number} ({error}); expected a whole file") from None


def jsonl_texts(path: Path) -> Iterator[Row]:
    """Read BEIR texts, one JSON object a line: `_id`, `text` and, optionally, `title`."""
    for number, line in lines(path):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}:{number}: broken JSON ({error}); expected one object a line") from None
        if not isinstance(entry, dict):
            raise UserError(f"{path}:{number}: expected a JSON object with _id and text, got {_json_kind(entry)}")
        for field in ("_id", "text"):
            if field not in entry:
                raise UserError(f"{path}:{number}: the field {field!r} is missing; expected _id and text")
        id, text, title = entry["_id"], entry["text"], entry.get("title") or ""
        if isinstance(id, bool) or not isinstance(id, str | int):
            raise UserError(f"{path}:{number}: expected _id to be a string or a whole number, got {_json_kind(id)}")
        for field, value in (("text", text), ("title", title)):
            if not isinstance(value, str):
                raise UserError(f"{path}:{number}: expected {field} to be a string, got {_json_kind(value)}")
        yield Row(number, (str(id),), " ".join(part for part in (title, text) if part.strip()))


def tsv_texts(path: Path) -> Iterator[Row]:
    """Read MS MARCO texts: id, tab, text."""
    for number, line in lines(path):
        id, tab, text = line.partition("\t")
        if not tab:
            raise UserError(f"{path}:{number}: expected an id, a tab and a text, got no tab")
        yield Row(number, (id,), text)


def beir_qrels(path: Path) -> Iterator[Row]:
    """Read BEIR judgements: query id, corpus id, grade, separated by tabs, with or without a header."""
    for number, line in lines(path):
        fields = [field.strip() for field in line.split("\t")]
        if number == 1 and fields[0].lower() in ("query-id", "query_id"):
            continue
        if len(fields) != 3:
            expected = "three fields separated by tabs (query-id, corpus-id, score)"
            raise UserError(f"{path}:{number}: expected {expected}, got {len(fields)}")
        yield Row(number, (fields[0], fields[1]), _grade(path, number, fields[2]))


def trec_qrels(path: Path) -> Iterator[Row]:
    """Read TREC judgements: query id, iteration, passage id, grade, separated by blanks."""
    for number, line in lines(path):
        fields = line.split()
        if len(fields) != 4:
            expected = "four fields (query id, 0, passage id, grade)"
            raise UserError(f"{path}:{number}: expected {expected}, got {len(fields)}")
        yield Row(number, (fields[0], fields[2]), _grade(path, number, fields[3]))


def trec_run(path: Path) -> Iterator[Row]:
    """Read a TREC run: query id, Q0, passage id, rank (unused), score, tag (unused)."""
    for number, line in lines(path):
        fields = line.split()
        if len(fields) != 6:
            expected = "six fields (query id, Q0, passage id, rank, score, tag)"
            raise UserError(f"{path}:{number}: expected {expected}, got {len(fields)}")
        try:
            score = float(fields[4])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise UserError(f"{path}:{number}: expected the score to be a finite number, got {fields[4]!r}")
        yield Row(number, (fields[0], fields[2]), score)


def top_1000(path: Path) -> Iterator[Row]:
    """Read MS MARCO's candidates: query id, passage id, and their texts (unused). They are unordered: score 0."""
    for number, line in lines(path):
        fields = line.split("\t")
        if len(fields) < 2:
            raise UserError(f"{path}:{number}: expected query id, passage id and texts separated by tabs, got no tab")
        yield Row(number, (fields[0], fields[1]), 0.0)


def _grade(path: Path, number: int, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{path}:{number}: expected the grade to be a whole number, got {text!r}") from None


def _json_kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number"}
    return kinds.get(type(value), "a number" if isinstance(value, float) else "null")

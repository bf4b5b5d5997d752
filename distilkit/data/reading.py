"""Line-by-line readers of the text files that data come in; every error names the file and the line."""

import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from distilkit.data.columns import FORM, ColumnOrder, is_header
from distilkit.errors import UserError
from distilkit.files import open_text
from distilkit.untrusted import LONGEST, parse_json


class Row(NamedTuple):
    """A line of a file: its number, the ids that identify it, and what it says of them."""

    line: int
    key: tuple[str, ...]
    value: Any


Reader = Callable[[Path], Iterator[Row]]


def refuse(path: Path | str, place: int, problem: str, unit: str = ":") -> NoReturn:
    """Raise UserError with the file, the line (or, by `unit`, the row) and the problem."""
    raise UserError(f"{path}{unit}{place}: {problem}")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, text) of the lines that are not blank; raises UserError for a file that is not UTF-8 or gzip."""
    number = 0
    try:
        with open_text(path) as file:
            while line := file.readline(LONGEST):
                number += 1
                if len(line) == LONGEST:
                    refuse(path, number, f"a line of {LONGEST:,} characters or more; expected a text file")
                text = line.rstrip("\r\n")
                if text.strip():
                    yield number, text.removeprefix("\ufeff") if number == 1 else text
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text, near line {number + 1}; expected UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read after line {number} ({reason}); expected a whole file") from None


def require_text(path: Path, number: int, line: str) -> None:
    """Raise UserError for a line with a null character, at which libraries in C take an id to end."""
    if "\0" in line:
        refuse(path, number, "holds a null character; expected a text file")


def fields(path: Path, count: int, expected: str, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, fields) of lines cut at a separator, by default at blanks; UserError for another number of fields.

    `expected` describes the fields in the message.
    """
    for number, line in lines(path):
        found = line.split(separator)
        if len(found) != count:
            refuse(path, number, f"expected {expected}, got {len(found)}")
        require_text(path, number, line)
        yield number, found


def json_lines(path: Path, expected: str = "one object a line") -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of a file of JSON lines; raises UserError for a line that is not JSON."""
    for number, line in lines(path):
        try:
            value = parse_json(line)
        except ValueError as error:
            raise UserError(f"{path}:{number}: broken JSON ({error}); expected {expected}") from None
        yield number, value


def identifier(path: Path, place: int, value: object) -> str:
    """Return a JSON value that must be an id (or a text), a string or a whole number, as a string; else UserError."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        refuse(path, place, f"expected an id or a text, got {value!r:.40}")
    return str(value)


def jsonl_texts(path: Path) -> Iterator[Row]:
    """Read BEIR texts, one JSON object a line: `_id`, `text` and, optionally, `title`."""
    for number, entry in json_lines(path):
        if not isinstance(entry, dict):
            refuse(path, number, f"expected a JSON object with _id and text, got {_json_kind(entry)}")
        for field in ("_id", "text"):
            if field not in entry:
                refuse(path, number, f"the field {field!r} is missing; expected _id and text")
        id, text, title = entry["_id"], entry["text"], entry.get("title") or ""
        if isinstance(id, bool) or not isinstance(id, str | int):
            refuse(path, number, f"expected _id to be a string or a whole number, got {_json_kind(id)}")
        for field, value in (("text", text), ("title", title)):
            if not isinstance(value, str):
                refuse(path, number, f"expected {field} to be a string, got {_json_kind(value)}")
        yield Row(number, (str(id),), " ".join(part for part in (title, text) if part.strip()))


def tsv_texts(path: Path) -> Iterator[Row]:
    """Read MS MARCO texts: id, tab, text."""
    for number, line in lines(path):
        id, tab, text = line.partition("\t")
        if not tab:
            refuse(path, number, "expected an id, a tab and a text, got no tab")
        yield Row(number, (id,), text)


def beir_qrels(path: Path) -> Iterator[Row]:
    """Read BEIR judgements: query id, corpus id, grade, separated by tabs, with or without a header."""
    rows = fields(path, 3, "three fields separated by tabs (query-id, corpus-id, score)", "\t")
    yield from _judgements(path, ((number, [query, "0", *rest]) for number, (query, *rest) in rows))


def trec_qrels(path: Path) -> Iterator[Row]:
    """Read TREC judgements: query id, iteration, passage id, grade, separated by blanks, with or without a header."""
    yield from _judgements(path, fields(path, 4, "four fields (query id, 0, passage id, grade)"))


def any_qrels(path: Path) -> Iterator[Row]:
    """Read judgements of either form, line by line: three tabbed fields are BEIR's, four of any kind are TREC's."""
    yield from _judgements(path, _of_either_form(path))


def _of_either_form(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines(path):
        tabbed = [field.strip() for field in line.split("\t")]
        found = [tabbed[0], "0", *tabbed[1:]] if len(tabbed) == 3 and all(tabbed) else line.split()
        if len(found) != 4:
            refuse(path, number, f"expected {FORM}, got {len(found)} fields")
        require_text(path, number, line)
        yield number, found


def _judgements(path: Path, rows: Iterable[tuple[int, list[str]]]) -> Iterator[Row]:
    """Yield judgements of lines of four fields, less a header; raises UserError for columns in another order."""
    order = ColumnOrder(path)
    for place, (number, found) in enumerate(rows):
        query, iteration, passage, text = (field.strip() for field in found)
        if place == 0 and is_header(path, number, (query, iteration, passage, text)):
            continue
        value = grade(path, number, text)
        order.row(number, iteration, passage, value)
        yield Row(number, (query, passage), value)
    order.end()


def trec_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number, fields) of a TREC run: query id, Q0, passage id, rank, score, tag."""
    return fields(path, 6, "six fields (query id, Q0, passage id, rank, score, tag)")


def trec_run(path: Path) -> Iterator[Row]:
    """Read a TREC run, whose ranks and tags are not used; raises UserError for a score that is not a finite number."""
    for number, (query, _, passage, _, text, _) in trec_fields(path):
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        # Python reads 1_000 as a number, and digits of other scripts; no other reader of runs does.
        if not math.isfinite(score) or "_" in text or not text.isascii():
            refuse(path, number, f"expected the score to be a finite number, got {text!r}")
        yield Row(number, (query, passage), score)


def top_1000(path: Path) -> Iterator[Row]:
    """Read MS MARCO's candidates: query id, passage id, and their texts (unused). They are unordered: score 0."""
    for number, line in lines(path):
        found = line.split("\t", 2)
        if len(found) < 2:
            refuse(path, number, "expected query id, passage id and texts separated by tabs, got no tab")
        yield Row(number, (found[0], found[1]), 0.0)


def grade(path: Path, number: int, text: str) -> int:
    """Return the grade of a judgement; raises UserError, naming file and line, where it is not a whole number."""
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        refuse(path, number, f"expected the grade to be a whole number, got {text[:40]!r}")
    return int(text)


def _json_kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number"}
    return kinds.get(type(value), "a number" if isinstance(value, float) else "null")

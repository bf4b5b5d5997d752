"""Reading and writing TREC runs and judgements, plain or `.gz`."""

import gzip
import math
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from distilkit.errors import UserError
from distilkit.evaluation import policy
from distilkit.files import atomic_path, open_text

Run = dict[str, list[tuple[str, float]]]
"""Per query id: the documents found, each with its score, in any order."""

Qrels = dict[str, dict[str, int]]
"""Per query id: the judged documents, each with its grade."""

_RUN_FORM = "'query Q0 document rank score tag'"
_QRELS_FORM = "'query 0 document grade' (TREC) or 'query<tab>document<tab>grade' (BEIR)"


def read_run(path: Path) -> Run:
    """Return the run of a TREC file; the rank column and the tag are ignored.

    Raises UserError, with file and line, for a line that is not of six fields, a score that is no finite number and a
    document that a query lists twice.
    """
    found: dict[str, dict[str, float]] = {}
    for number, line in _lines(path):
        fields = line.split()
        if len(fields) != 6:
            _refuse(path, number, f"expected six fields, {_RUN_FORM}, found {len(fields)}")
        query, _, document, _, text, _ = fields
        score = _score(text)
        if score is None:
            _refuse(path, number, f"the score must be a finite number, found {text!r}")
        results = found.setdefault(query, {})
        if document in results:
            _refuse(path, number, f"document {document!r} is listed twice for query {query!r}")
        results[document] = score
    return {query: list(results.items()) for query, results in found.items()}


def write_run(path: Path, run: Run, tag: str) -> None:
    """Write a TREC run: in the policy's order, ranks from 1, scores that read back equal, blanks in the tag replaced.

    Raises RunFailed where the policy refuses the run, UserError for an id that a TREC file cannot hold.
    """
    tag = "_".join(tag.split()) or "distilkit"
    ordered = policy.ordered(run)
    _write(
        path,
        (
            f"{_id(query)} Q0 {_id(document)} {rank} {float(score)!r} {tag}\n"
            for query, results in ordered.items()
            for rank, (document, score) in enumerate(results, start=1)
        ),
    )


def read_qrels(path: Path) -> Qrels:
    """Return the judgements of a TREC file or of a BEIR table (with or without its header), whichever the file is.

    Raises UserError, with file and line, for a line of neither form, two grades for one document, or an empty file.
    """
    qrels: Qrels = {}
    for first, (number, line) in enumerate(_lines(path)):
        query, document, text = _judgement(path, number, line)
        try:
            grade = int(text)
        except ValueError:
            if first == 0 and line.count("\t") == 2:
                continue  # BEIR's header
            _refuse(path, number, f"the grade must be a whole number, found {text!r}")
        judged = qrels.setdefault(query, {})
        if judged.setdefault(document, grade) != grade:
            _refuse(path, number, f"document {document!r} has two grades for query {query!r}")
    if not qrels:
        raise UserError(f"{path}: holds no judgements; expected {_QRELS_FORM}")
    return qrels


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements as a BEIR table with its header."""
    rows = (f"{query}\t{document}\t{grade}\n" for query, judged in qrels.items() for document, grade in judged.items())
    _write(path, (row for part in (["query-id\tcorpus-id\tscore\n"], rows) for row in part))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1."""
    try:
        with open_text(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1:
                    line = line.removeprefix("\ufeff")
                if not line.isspace():
                    yield number, line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{path}: cannot be read as text: {reason}") from error


def _score(text: str) -> float | None:
    try:
        score = float(text)
    except ValueError:
        return None
    # Python reads 1_000 as a number; no other reader of runs does.
    return score if math.isfinite(score) and "_" not in text else None


def _judgement(path: Path, number: int, line: str) -> tuple[str, str, str]:
    """Return query, document and grade of a line: three tabbed fields are BEIR's, four of any kind are TREC's."""
    tabbed = [field.strip() for field in line.split("\t")]
    if len(tabbed) == 3 and all(tabbed):
        return tabbed[0], tabbed[1], tabbed[2]
    fields = line.split()
    if len(fields) != 4:
        _refuse(path, number, f"expected {_QRELS_FORM}, found {len(fields)} fields")
    return fields[0], fields[2], fields[3]


def _refuse(path: Path, number: int, reason: str) -> NoReturn:
    raise UserError(f"{path}:{number}: {reason}")


def _id(name: str) -> str:
    if len(name.split()) != 1 or name.split()[0] != name:
        raise UserError(f"the id {name!r} is empty or holds a blank, which a TREC run cannot write")
    return name


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as plain:
        if path.suffix == ".gz":
            # No name and no time in the header: equal runs are equal files.
            with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                packed.writelines(line.encode() for line in lines)
        else:
            plain.writelines(line.encode() for line in lines)

"""Reading and writing TREC runs and judgements, plain or `.gz`."""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from distilkit.data.columns import FORM
from distilkit.data.judgements import Judgements, Qrels, Run, judgements_of
from distilkit.data.reading import any_qrels, refuse, trec_run
from distilkit.errors import UserError
from distilkit.evaluation import policy
from distilkit.files import atomic_path

__all__ = ["Qrels", "Run", "qrels_hash", "read_qrels", "read_run", "write_qrels", "write_run"]


def read_run(path: Path) -> Run:
    """Return the run of a TREC file; the rank column and the tag are ignored.

    Raises UserError, with file and line, for a line that is not of six fields, a score that is not a finite number and
    a document that a query lists twice.
    """
    found: dict[str, dict[str, float]] = {}
    for number, (query, document), score in trec_run(path):
        results = found.setdefault(query, {})
        if document in results:
            refuse(path, number, f"document {document!r} is listed twice for query {query!r}")
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


def read_qrels(path: Path) -> Judgements:
    """Return the judgements of a TREC file or of a BEIR table (with or without its header), whichever the file is.

    Raises UserError, with file and line, for a line of neither form, two grades for one document, or an empty file.
    """
    qrels = judgements_of(partial(any_qrels, path), lambda line: f"{path}:{line}")
    if not qrels:
        raise UserError(f"{path}: holds no judgements; expected {FORM}")
    return qrels


def write_qrels(path: Path, qrels: Qrels) -> None:
    """Write judgements in TREC's form, which ir_measures, ranx and PyTerrier read.

    Where an id holds a blank, which that form has no place for, they are a BEIR table with its header.
    """
    _write(path, _table(qrels))


def qrels_hash(qrels: Qrels) -> str:
    """Return the sha256 of the file that `write_qrels` writes."""
    digest = hashlib.sha256()
    for line in _table(qrels):
        digest.update(line.encode())
    return digest.hexdigest()


def _table(qrels: Qrels) -> Iterator[str]:
    rows = ((query, document, grade) for query, judged in qrels.items() for document, grade in judged.items())
    if all(_is_word(query) and all(map(_is_word, judged)) for query, judged in qrels.items()):
        yield from (f"{query} 0 {document} {grade}\n" for query, document, grade in rows)
    else:
        yield "query-id\tcorpus-id\tscore\n"
        yield from (f"{query}\t{document}\t{grade}\n" for query, document, grade in rows)


def _is_word(name: str) -> bool:
    return name.split() == [name] and "\0" not in name


def _id(name: str) -> str:
    if not _is_word(name):
        raise UserError(f"the id {name!r} is empty or holds a blank or a null character, which a TREC run cannot write")
    return name


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as plain:
        if path.suffix == ".gz":
            # No name and no time in the header: equal runs are equal files.
            with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                packed.writelines(line.encode() for line in lines)
        else:
            plain.writelines(line.encode() for line in lines)

"""Relevance judgements and ranked candidates: their types and their files in a collection's folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from distilkit.data.columns import LARGEST
from distilkit.data.reading import Row
from distilkit.errors import UserError

Qrels = dict[str, dict[str, int]]
"""Query id -> passage id -> grade."""


class Judgements(Qrels):
    """Judgements as a file or table gave them; `repeated` of its rows say what an earlier one says, grade and all."""

    repeated: int = 0


Run = dict[str, list[tuple[str, float]]]
"""Query id -> (passage id, score), best first."""

Place = Callable[[int], str]
"""Returns what messages call the row of a number: its file and line, or its table and row."""

QRELS_HEADER = "query-id\tcorpus-id\tscore"


def require_grade(grade: int, where: str) -> None:
    """Raise UserError for a grade that is too large."""
    if not -LARGEST <= grade <= LARGEST:
        shown = f"{grade}" if abs(grade) < 10**20 else f"a number of {len(str(abs(grade)))} digits"
        raise UserError(f"{where}: the grade is {shown}; expected a whole number from -{LARGEST} to {LARGEST}")


def in_order(candidates: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return candidates by score descending, then by id descending as a string (the order of trec_eval)."""
    by_id = sorted(candidates, key=lambda candidate: candidate[0], reverse=True)
    return sorted(by_id, key=lambda candidate: -candidate[1])


def judgements_of(read: Callable[[], Iterable[Row]], place: Place) -> Judgements:
    """Return rows of (query, passage) and grade as judgements; raises UserError for two grades of one pair.

    `read` returns the rows, a second time where a message must name the earlier of two.
    """
    qrels = Judgements()
    for line, (query, passage), grade in read():
        if not -LARGEST <= grade <= LARGEST:
            require_grade(grade, place(line))
        judged = qrels.setdefault(query, {})
        qrels.repeated += passage in judged
        known = judged.setdefault(passage, grade)
        # The same judgement twice is harmless, and some published sets have it.
        if known != grade:
            first = next(row.line for row in read() if row.key == (query, passage))
            problem = f"query {query!r} and passage {passage!r} are judged {known} there and {grade} here"
            raise UserError(f"{place(first)} and {place(line)}: {problem}; expected one grade")
    return qrels


def run_of(rows: Iterable[Row]) -> Run:
    """Return rows of (query, passage) and score as a run, in their order."""
    run: Run = {}
    for _, (query, passage), score in rows:
        run.setdefault(query, []).append((passage, score))
    return run


def write_qrels(path: Path, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write judgements as a BEIR table, sorted, so that equal judgements are equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(QRELS_HEADER + "\n")
        for query in sorted(qrels):
            file.writelines(f"{query}\t{passage}\t{grade}\n" for passage, grade in sorted(qrels[query].items()))


def read_qrels(path: Path) -> Qrels:
    """Read what `write_qrels` wrote."""
    qrels: Qrels = {}
    for query, passage, grade in _fields(path, skip=1):
        qrels.setdefault(query, {})[passage] = int(grade)
    return qrels


def write_run(path: Path, run: Mapping[str, Sequence[tuple[str, float]]]) -> None:
    """Write candidates as a TREC run, sorted, every score so that it reads back equal."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for query in sorted(run):
            for rank, (passage, score) in enumerate(in_order(run[query]), start=1):
                file.write(f"{query} Q0 {passage} {rank} {float(score)!r} given\n")


def read_run(path: Path) -> Run:
    """Read what `write_run` wrote."""
    run: Run = {}
    for query, _, passage, _, score, _ in _fields(path):
        run.setdefault(query, []).append((passage, float(score)))
    return run


def _fields(path: Path, skip: int = 0) -> Iterator[list[str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file):
            if number >= skip:
                yield line.split()

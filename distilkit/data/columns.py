"""Columns of judgements: their usual names, and what shows that they stand in another order."""

from collections.abc import Sequence
from pathlib import Path

from distilkit.errors import UserError

# In small letters; what may come between two words is left out.
QUERY_NAMES = ("query-id", "query_id", "queryid", "qid", "q_id", "query", "topic", "topic_id", "topicid")
PASSAGE_NAMES = (
    *("corpus-id", "corpus_id", "doc_id", "docid", "doc-id", "docno", "document_id", "pid", "passage_id", "passage-id"),
    *("passageid", "documentid", "document", "doc", "passage"),
)
GRADE_NAMES = ("score", "relevance", "rel", "grade", "label", "qrel", "judgement", "judgment")
ITERATION_NAMES = ("iteration", "iter", "it", "q0", "0", "unused")
FORM = "'query 0 document grade' (TREC) or 'query<tab>document<tab>grade' (BEIR)"
FEW, LARGEST = 10, 1000
"""Grades and numbers of iterations are small; a larger number is an id in their place. trec_eval, which computes nDCG,
takes memory and time by the largest grade."""


def is_header(path: Path, number: int, fields: Sequence[str]) -> bool:
    """Return whether the first fields of a file name its columns; raises UserError where they are in another order."""
    names = [field.strip().lower() for field in fields]
    roles = [_role(name) for name in names]
    # A query may be called 1, or even qid; a line with a grade in its place is a judgement.
    if sum(role is not None for role in roles) < 2 or _is_number(names[-1]):
        return False
    order = ["query", *(["iteration"] if len(names) == 4 else []), "passage", "grade"]
    if [role or "iteration" for role in roles] != order:
        raise UserError(f"{path}:{number}: the columns are {', '.join(fields)}; expected {FORM}, in this order")
    return True


class ColumnOrder:
    """Watches the rows of a file for ids in the place of a grade or of TREC's second field, which say nothing of both.

    Raises UserError for a file whose columns stand in another order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[set[str], set[str], set[int]] = (set(), set(), set())

    def row(self, number: int, iteration: str, passage: str, grade: int) -> None:
        """Look at one judgement; `iteration` is TREC's second field, 0 where there is none."""
        iterations, passages, grades = self._seen
        iterations.add(iteration)
        passages.add(passage)
        grades.add(grade)
        if iteration.upper() != "Q0" and not (_is_number(iteration[:9]) and int(iteration[:9]) <= LARGEST):
            self._refuse(number, f"the second field is {iteration!r}, and should be 0")
        if abs(grade) > LARGEST:
            self._refuse(
                number, f"the grade is {str(grade)[:24]}; expected a whole number from -{LARGEST} to {LARGEST}"
            )

    def end(self) -> None:
        """Look at all of them: there are fewer grades than passages."""
        iterations, passages, grades = self._seen
        for name, values in (("second fields", iterations), ("grades", grades)):
            if len(values) > max(FEW, len(passages)):
                self._refuse(None, f"there are {len(values)} different {name} and {len(passages)} documents")

    def _refuse(self, number: int | None, problem: str) -> None:
        place = self._path if number is None else f"{self._path}:{number}"
        raise UserError(f"{place}: {problem}: the columns seem to be in another order; expected {FORM}")


def _role(name: str) -> str | None:
    roles = {"query": QUERY_NAMES, "passage": PASSAGE_NAMES, "grade": GRADE_NAMES, "iteration": ITERATION_NAMES}
    return next((role for role, names in roles.items() if name in names), None)


def _is_number(text: str) -> bool:
    return text.lstrip("+-").isdecimal()

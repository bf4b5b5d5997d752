"""How far a student ranks as its teacher does, where nothing is judged: not a measure of effectiveness.

A student that agrees in full is exactly as good, or as bad, as its teacher.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from distilkit.errors import RunFailed, UserError, nearest
from distilkit.evaluation import policy
from distilkit.evaluation.fidelity import kendall_tau
from distilkit.evaluation.policy import Results

DEPTH = 10
"""The teacher's documents down to this rank are graded: the first 10, the last 1."""


def graded_ndcg(student: Results, teacher: Results) -> float | None:
    """Return nDCG@10 of a student's ranking, with the teacher's first 10 documents as graded relevance.

    The teacher's document of rank r has the gain 11 - r, all others 0; DCG is the sum of gain / log2(1 + rank) down to
    rank 10, and is divided by that of the teacher's own order. None where the teacher ranks nothing.
    """
    gains = {document: DEPTH - place for place, (document, _) in enumerate(teacher[:DEPTH])}
    best = _dcg(list(gains.values()))
    return _dcg([gains.get(document, 0) for document, _ in student[:DEPTH]]) / best if best else None


def first_agrees(student: Results, teacher: Results) -> float | None:
    """Return 1 where both rank the same document first, else 0; None where the teacher ranks nothing."""
    return float(bool(student) and student[0][0] == teacher[0][0]) if teacher else None


def top_overlap(student: Results, teacher: Results) -> float | None:
    """Return which share of the teacher's first 10 documents is among the student's; None where it ranks nothing."""
    wanted = {document for document, _ in teacher[:DEPTH]}
    return len(wanted & {document for document, _ in student[:DEPTH]}) / len(wanted) if wanted else None


AGREEMENT: dict[str, Callable[[Results, Results], float | None]] = {
    "agreement_nDCG@10": graded_ndcg,
    "agreement_tau": kendall_tau,
    "agreement_top1": first_agrees,
    "agreement_top10": top_overlap,
}
"""The measures by the names that recipes and events have for them."""


def require_agreement(name: str) -> str:
    """Return the name of a measure of agreement; raises UserError for another."""
    if name not in AGREEMENT:
        raise UserError(
            f"{name!r} is not a measure of agreement with the teacher, and without labels there is no other; expected "
            f"one of {', '.join(AGREEMENT)}{nearest(name, AGREEMENT)}"
        )
    return name


def agreement(student: Mapping[str, Results], teacher: Mapping[str, Results], names: Sequence[str]) -> dict[str, float]:
    """Return the means of some measures over the queries that the teacher has an order for.

    Raises RunFailed for a score that is not finite, and where no query has the two candidates that τ needs.
    """
    ours, theirs = policy.ordered(student), policy.ordered(teacher)
    found = {}
    for name in names:
        values = [AGREEMENT[name](ours.get(query, []), results) for query, results in theirs.items()]
        known = [value for value in values if value is not None]
        if not known:
            raise RunFailed(f"{name} has no value for any of {len(theirs)} queries; expected more candidates of each")
        found[name] = float(np.mean(known))
    return found


def _dcg(gains: Sequence[int]) -> float:
    return float(np.sum(np.array(gains, float) / np.log2(np.arange(2, len(gains) + 2))))

"""What a first stage's candidates bound every re-ranker of them by: their random order, and their best one.

Chance is the expected value of a measure over all orders of a query's candidates, each as likely as another. The
ceiling is what the best order reaches: the judged-relevant candidates first, the higher grades before the lower ones.
Both need candidates and judgements alone.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from distilkit.evaluation.measures import as_measure, evaluate
from distilkit.evaluation.trec import Qrels, Run

if TYPE_CHECKING:
    from ir_measures.measures import Measure

Candidates = Mapping[str, Sequence[str]]
"""The candidates of each query, in any order."""
PerQuery = dict[str, dict[str, float]]

DRAWS, SEED = 200, 0
"""Of a measure whose expected value is not known in closed form: the mean of so many fixed orders."""


def ceiling(candidates: Candidates, qrels: Qrels, measures: Iterable[str]) -> PerQuery:
    """Return, by measure and judged query, what the best order of the candidates reaches.

    Raises UserError for an unknown measure.
    """
    best: Run = {}
    for query, documents in candidates.items():
        judged = qrels.get(query, {})
        order = sorted(documents, key=lambda document: judged.get(document, -math.inf), reverse=True)
        best[query] = _scored(order)
    return evaluate(best, qrels, measures).per_query


def chance(candidates: Candidates, qrels: Qrels, measures: Iterable[str]) -> PerQuery:
    """Return, by measure and judged query, what a random order of the candidates reaches in the mean.

    It is exact for nDCG, RR, AP, P, R, Rprec, Success and Judged; of others, and with parameters such as gains, it is
    the mean of DRAWS fixed orders. A query without candidates has 0. Raises UserError for an unknown measure.
    """
    wanted = {name: as_measure(name) for name in measures}
    drawn = [name for name, measure in wanted.items() if not is_exact(measure)]
    table = _drawn(candidates, qrels, drawn) if drawn else {}
    for name, measure in wanted.items():
        if name not in drawn:
            expected = _EXACT[measure.NAME]
            table[name] = {
                query: expected(measure, [judged.get(one) for one in candidates.get(query, ())], [*judged.values()])
                for query, judged in qrels.items()
            }
    return {name: table[name] for name in wanted}


def is_exact(measure: "Measure") -> bool:
    """Tell whether the expected value of a measure over random orders is known in closed form."""
    return measure.NAME in _EXACT and not set(measure.params) - {"cutoff", "rel"}


def _scored(order: Sequence[str]) -> list[tuple[str, float]]:
    return [(document, float(len(order) - place)) for place, document in enumerate(order)]


def _drawn(candidates: Candidates, qrels: Qrels, measures: Sequence[str]) -> PerQuery:
    random = np.random.default_rng(SEED)
    total: PerQuery = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    for _ in range(DRAWS):
        run = {query: _scored(random.permutation(np.array(found)).tolist()) for query, found in candidates.items()}
        for name, values in evaluate(run, qrels, measures).per_query.items():
            for query, value in values.items():
                total[name][query] += value / DRAWS
    return total


# The expected values: of a measure, the grades of the candidates (None: not judged), and all grades of the query.

Grades = Sequence[int | None]
Expected = Callable[["Measure", Grades, Sequence[int]], float]


def _depth(measure: "Measure", grades: Grades) -> int:
    return min(len(grades), measure.params.get("cutoff") or len(grades))


def _relevant(measure: "Measure", grades: Grades) -> int:
    least = measure.params.get("rel", 1)
    return sum(grade is not None and grade >= least for grade in grades)


def _found(measure: "Measure", grades: Grades, depth: int) -> float:
    """Return the expected number of relevant candidates down to a depth."""
    return depth * _relevant(measure, grades) / len(grades) if grades else 0.0


def _precision(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    return _found(measure, grades, _depth(measure, grades)) / int(measure.params["cutoff"])


def _recall(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    relevant = _relevant(measure, judged)
    return _found(measure, grades, _depth(measure, grades)) / relevant if relevant else 0.0


def _r_precision(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    relevant = _relevant(measure, judged)
    return _found(measure, grades, min(relevant, len(grades))) / relevant if relevant else 0.0


def _success(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    return math.fsum(_first_at(len(grades), _relevant(measure, grades))[: _depth(measure, grades)])


def _reciprocal_rank(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    first = _first_at(len(grades), _relevant(measure, grades))[: _depth(measure, grades)]
    return math.fsum(share / place for place, share in enumerate(first, 1))


def _average_precision(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    relevant, found, n = _relevant(measure, judged), _relevant(measure, grades), len(grades)
    if not found:
        return 0.0
    others = (found - 1) / (n - 1) if n > 1 else 0.0
    depth = _depth(measure, grades)
    return math.fsum((1 + (place - 1) * others) / place for place in range(1, depth + 1)) * found / n / relevant


def _ndcg(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    gain = sum(max(grade or 0, 0) for grade in grades)
    best = sorted((grade for grade in judged if grade > 0), reverse=True)[: measure.params.get("cutoff")]
    if not gain:
        return 0.0
    ideal = math.fsum(grade / math.log2(place + 1) for place, grade in enumerate(best, 1))
    discounts = math.fsum(1 / math.log2(place + 1) for place in range(1, _depth(measure, grades) + 1))
    expected: float = gain / len(grades) * discounts / ideal
    return expected


def _judged(measure: "Measure", grades: Grades, judged: Sequence[int]) -> float:
    return sum(grade is not None for grade in grades) / len(grades) if grades else 0.0


@lru_cache(maxsize=4096)
def _first_at(n: int, relevant: int) -> tuple[float, ...]:
    """Return with which probability the first of some relevant candidates stands at each place of n."""
    if not relevant:
        return ()
    found, none_before = [], 1.0
    for place in range(n - relevant + 1):
        found.append(none_before * relevant / (n - place))
        none_before *= (n - place - relevant) / (n - place)
    return tuple(found)


_EXACT: dict[str, Expected] = {
    "nDCG": _ndcg,
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "P": _precision,
    "R": _recall,
    "Rprec": _r_precision,
    "Success": _success,
    "Judged": _judged,
}

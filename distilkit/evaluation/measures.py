"""Measures by their ir-measures names, computed under the one evaluation policy."""

import ast
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distilkit.data.judgements import require_grade
from distilkit.errors import UserError, nearest
from distilkit.evaluation import policy
from distilkit.evaluation.trec import Qrels, Run

if TYPE_CHECKING:
    from ir_measures.measures import Measure

DEFAULT_MEASURES = ("nDCG@10", "RR@10")

# What trec_eval, MS MARCO's script and the judgement counter of ir-measures compute without Perl or further packages.
KNOWN = ("nDCG", "RR", "AP", "P", "R", "Rprec", "Bpref", "Success", "Judged")
# No measure's name has more letters.
LONGEST = 200
ALIASES = {"NDCG": "nDCG", "MRR": "RR", "MAP": "AP", "Precision": "P", "Recall": "R"}


@dataclass(frozen=True)
class Evaluation:
    """What a run scores: per measure and judged query, and on the mean.

    `missing` are the judged queries without results (they score 0), `unjudged` counts the result queries ignored, `own`
    the queries that are documents themselves, which were left out of their results.
    """

    per_query: dict[str, dict[str, float]]
    means: dict[str, float]
    missing: tuple[str, ...]
    unjudged: int
    own: int = 0

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures' canonical names, as asked."""
        return tuple(self.per_query)

    @property
    def queries(self) -> tuple[str, ...]:
        """The judged queries' ids, sorted."""
        return tuple(next(iter(self.per_query.values())))

    @property
    def policy(self) -> dict[str, Any]:
        """The evaluation policy, with this run's counts, as measures.json states it."""
        return policy.record(len(self.queries), len(self.missing), self.unjudged, self.own)


def canonical(name: str) -> str:
    """Return a measure's one name: `RR@10` for `MRR@10`, for example.

    Raises UserError for a measure that distilkit does not compute, naming the nearest that it does.
    """
    return str(as_measure(name))


def canonical_all(names: str | Iterable[str]) -> list[str]:
    """Return the canonical names, each once, of measures given one by one or several to a string, between blanks.

    Raises UserError as `canonical` does, and where there is no measure at all.
    """
    texts = [names] if isinstance(names, str) else list(names)
    # A blank inside parentheses belongs to the measure.
    found = [canonical(name) for text in texts for name in re.split(r"\s+(?![^()]*\))", text.strip()) if name]
    if not found:
        raise UserError(f"no measure was named; known: {', '.join(KNOWN)}")
    return list(dict.fromkeys(found))


def evaluate(run: Run, qrels: Qrels, measures: str | Iterable[str], own: int = 0) -> Evaluation:
    """Return what a run scores against judgements, under the evaluation policy; `own` is what was left out of it.

    A measure's mean is that over all judged queries, those without results counting 0. Raises UserError for an unknown
    measure or judgements without a query, RunFailed for a run that the policy refuses.
    """
    import ir_measures

    if not qrels:
        raise UserError("there are no judgements to evaluate against")
    for judged in qrels.values():
        for grade in judged.values():
            require_grade(grade, "the judgements")
    wanted = {name: as_measure(name) for name in canonical_all(measures)}
    queries = sorted(qrels)
    results = policy.rewritten({query: found for query, found in run.items() if found and query in qrels})
    table = {name: dict.fromkeys(queries, 0.0) for name in wanted}
    if results:
        for metric in ir_measures.iter_calc(list(wanted.values()), _floored(qrels), results):
            table[str(metric.measure)][metric.query_id] = float(metric.value)
    return Evaluation(
        per_query=table,
        means=means(table),
        missing=tuple(query for query in queries if query not in results),
        unjudged=sum(1 for query, found in run.items() if found and query not in qrels),
        own=own,
    )


def _floored(qrels: Qrels) -> Qrels:
    """Return judgements with -1 for every lower grade: trec_eval counts all of them alike, and crashes on those."""
    if min(min(judged.values(), default=0) for judged in qrels.values()) >= -1:
        return qrels
    return {query: {doc: max(grade, -1) for doc, grade in judged.items()} for query, judged in qrels.items()}


def means(per_query: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return each measure's mean over its queries."""
    return {name: math.fsum(values.values()) / len(values) for name, values in per_query.items()}


def as_measure(text: str) -> "Measure":
    """Return the ir-measures object of a name.

    Parsed here because ir-measures 0.4.3 parses with parts of `ast` that warn on Python 3.12 and are gone in 3.14, and
    because trec_eval ends the whole process on a cutoff below 1.
    """
    from ir_measures import measures as library

    name, arguments = _parsed(text)
    family = ALIASES.get(name, name)
    if family not in KNOWN:
        raise UserError(f"no measure is called {text!r}{_suggestion(name, text)}")
    kind = library.registry[family]
    unknown = [key for key in arguments if key not in kind.SUPPORTED_PARAMS]
    if unknown:
        raise UserError(f"measure {text!r}: no parameter {unknown[0]!r}{nearest(unknown[0], kind.SUPPORTED_PARAMS)}")
    measure = kind(**{key: arguments[key] for key in kind.SUPPORTED_PARAMS if key in arguments})
    _check(text, measure)
    return measure


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and parameters of `Name(key=value, ...)@cutoff`."""
    try:
        node = ast.parse(text.strip() if len(text) <= LONGEST else "", mode="eval").body
        arguments: dict[str, Any] = {}
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            arguments["cutoff"] = ast.literal_eval(node.right)
            node = node.left
        if isinstance(node, ast.Call) and not node.args:
            arguments |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            node = node.func
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        node = None
    if not isinstance(node, ast.Name):
        raise UserError(f"{text!r} is not a measure; expected a name such as 'nDCG@10' or 'RR(rel=2)@10'")
    return node.id, arguments


def _check(text: str, measure: "Measure") -> None:
    """Refuse parameters that no provider computes, or that make one misbehave."""
    from ir_measures import DefaultPipeline

    for key in ("cutoff", "rel"):
        value = measure.params.get(key)
        if value is not None and (type(value) is not int or not 0 < value < 2**31):
            raise UserError(f"measure {text!r}: {key} must be a whole number from 1, found {value!r}")
    try:
        measure.validate_params()
    except AssertionError as error:
        needed = [key for key, one in measure.SUPPORTED_PARAMS.items() if one.required and key not in measure.params]
        reason = f"a cutoff is needed, such as {measure.NAME}@10" if needed == ["cutoff"] else str(error)
        raise UserError(f"measure {text!r}: {reason}") from error
    providers: Sequence[Any] = DefaultPipeline.providers
    # gdeval, which stands behind exp-log2 gains, is a Perl script that reads numbered TREC topics only.
    if not any(one.NAME in ("pytrec_eval", "msmarco", "judged") and one.supports(measure) for one in providers):
        raise UserError(f"measure {text!r}: these parameters cannot be computed together")


def _suggestion(name: str, text: str) -> str:
    known = {one.casefold(): one for one in (*ALIASES, *KNOWN)}
    if name.casefold() in known:
        return f"; did you mean {text.replace(name, known[name.casefold()], 1)!r}?"
    return nearest(name, KNOWN)

"""The result for programs: JSON, and one table of comma-separated values for spreadsheets and data frames."""

import csv
import io
import json
from dataclasses import asdict, fields
from typing import Any

from distilkit.comparison import run_files
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean
from distilkit.comparison.wording import visible
from distilkit.run_folders.record import RunRecord
from distilkit.tables import csv_cell

_SYSTEM = ("system", "name", "kind", "strategy", "student", "seeds")
_MEAN = ("set", "measure", "n", "mean", "mean_ci_low", "mean_ci_high", "superscripts", "seed_deviation")
_COST = ("parameters", "macs_per_pair", "ms_per_query")
_BUDGET = tuple(run_files.BUDGET)
_POLICY = ("queries", "missing", "unjudged", "judged", "run", "qrels")
_COMPARISON = tuple(field.name for field in fields(Comparison) if field.name not in ("system", "measure", "n", "set"))


def render_json(result: ComparisonResult) -> str:
    """Return the result's plain value as indented JSON, in ASCII so that any terminal prints it."""
    return json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n"


def render_csv(result: ComparisonResult) -> str:
    """Return a tidy table: a row per system, set, measure and baseline it is compared with, a column per variable.

    What is known of the system (its short name, kind, strategy, student, cost) and its mean stand in each of its rows.
    A system that is compared with none, such as the only baseline, chance or the ceiling, has one row, in which the
    columns of the comparison are empty. Numbers are written so that they read back equal; what has no value is empty.
    `verdict` is better, worse or inconclusive by `p_adjusted`; `missing` and `unjudged` count queries, `judged` is the
    share of the first results that are judged, `run` and `qrels` are the first digits of the files' sha256. A name that
    a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    heads = [*_SYSTEM, *_MEAN, *_COMPARISON, "verdict", *_COST, *_POLICY, *_BUDGET]
    writer = csv.DictWriter(text, heads, restval="", lineterminator="\n")
    writer.writeheader()
    found: dict[tuple[str, str | None, str], list[Comparison]] = {}
    for one in result.comparisons:
        found.setdefault((one.system, one.set, one.measure), []).append(one)
    for mean in result.systems:
        shared = _system(result, mean) | _mean(result, mean) | _policy(result, mean)
        shared |= result.budgets.get(mean.name, {})
        for comparison in found.get((mean.name, mean.set, mean.measure), []):
            values = asdict(comparison)
            own = {name: values[name] for name in _COMPARISON} | {"verdict": result.outcome(comparison)}
            writer.writerow(_cells(shared | own))
        if (mean.name, mean.set, mean.measure) not in found:
            writer.writerow(_cells(shared))
    for bound in result.bounds:
        writer.writerow(_cells(_system(result, bound) | _mean(result, bound)))
    return text.getvalue()


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose texts are fit for a spreadsheet: nothing that it would run, nothing that does not print."""
    return {key: csv_cell(visible(value)) if isinstance(value, str) else value for key, value in row.items()}


def _system(result: ComparisonResult, one: SystemMean) -> dict[str, Any]:
    known = {"system": one.name, "name": result.short.get(one.name, one.name), "kind": one.kind, "seeds": one.seeds}
    source = run_files.of_set(result, one.set).get(one.name)
    if source is None:
        return known
    record = run.record if (run := run_files.stored(source)) is not None else RunRecord()
    costs = {name: run_files.cost(source, name) for name in _COST}
    return known | costs | {"strategy": record.strategy, "student": record.student}


def _mean(result: ComparisonResult, one: SystemMean) -> dict[str, Any]:
    values = one.set or result.eval_set, one.measure, one.n, one.mean, one.ci_low, one.ci_high, one.superscripts
    return dict(zip(_MEAN, (*values, one.seed_deviation), strict=True))


def _policy(result: ComparisonResult, one: SystemMean) -> dict[str, Any]:
    facts = result.policies()[one.set if result.sets else result.eval_set]
    own = {name: facts[name].get(one.name) for name in ("missing", "unjudged")}
    judged, run = facts["judged"]["systems"].get(one.name), facts["runs"].get(one.name)
    return {"queries": facts["queries"], **own, "judged": judged, "run": run, "qrels": " ".join(facts["qrels"])}

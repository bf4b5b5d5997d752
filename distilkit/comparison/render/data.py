"""The result for programs: JSON, and one table of comma-separated values for spreadsheets and data frames."""

import csv
import io
import json
from dataclasses import asdict, fields
from typing import Any

from distilkit.comparison import run_files
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean
from distilkit.comparison.wording import visible
from distilkit.tables import csv_cell

_MEAN = ("system", "kind", "set", "measure", "n", "seeds", "mean", "mean_ci_low", "mean_ci_high", "superscripts")
_BUDGET = tuple(run_files.BUDGET)
_POLICY = ("queries", "missing", "unjudged", "judged", "run", "qrels")
_COMPARISON = tuple(field.name for field in fields(Comparison) if field.name not in ("system", "measure", "n", "set"))


def render_json(result: ComparisonResult) -> str:
    """Return the result's plain value as indented JSON, in ASCII so that any terminal prints it."""
    return json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n"


def render_csv(result: ComparisonResult) -> str:
    """Return a row per system, set, measure and baseline it is compared with, and the policy as far as it differs.

    A system that is compared with none, such as the only baseline, has one row with these columns empty, and so have
    chance and ceiling, which `kind` tells. Numbers are
    written so that they read back equal; what has no value is empty. `missing` and `unjudged` count queries, `judged`
    is the share of the first results that are judged, `run` and `qrels` are the first digits of the files' sha256. A
    name that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_MEAN, *_COMPARISON, *_POLICY, *_BUDGET], restval="", lineterminator="\n")
    writer.writeheader()
    found: dict[tuple[str, str | None, str], list[Comparison]] = {}
    for one in result.comparisons:
        found.setdefault((one.system, one.set, one.measure), []).append(one)
    for system in result.systems:
        shared = _mean(system) | _policy(result, system) | result.budgets.get(system.name, {})
        for comparison in found.get((system.name, system.set, system.measure), []):
            values = asdict(comparison)
            writer.writerow(_cells(shared | {name: values[name] for name in _COMPARISON}))
        if (system.name, system.set, system.measure) not in found:
            writer.writerow(_cells(shared))
    for bound in result.bounds:
        writer.writerow(_cells(_mean(bound)))
    return text.getvalue()


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose texts are fit for a spreadsheet: nothing that it would run, nothing that does not print."""
    return {key: csv_cell(visible(value)) if isinstance(value, str) else value for key, value in row.items()}


def _mean(one: SystemMean) -> dict[str, Any]:
    values = one.name, one.kind, one.set, one.measure, one.n, one.seeds, one.mean, one.ci_low, one.ci_high
    return dict(zip(_MEAN, (*values, one.superscripts), strict=True))


def _policy(result: ComparisonResult, one: SystemMean) -> dict[str, Any]:
    facts = result.policies()[one.set if result.sets else result.eval_set]
    own = {name: facts[name].get(one.name) for name in ("missing", "unjudged")}
    judged, run = facts["judged"]["systems"].get(one.name), facts["runs"].get(one.name)
    return {"queries": facts["queries"], **own, "judged": judged, "run": run, "qrels": " ".join(facts["qrels"])}

"""The files of one evaluation (`eval/SET/`): run.trec, per_query.csv and measures.json."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from distilkit.errors import UserError
from distilkit.evaluation.measures import Evaluation
from distilkit.evaluation.trec import Run, write_run
from distilkit.files import read_json, write_json, write_text

RUN = "run.trec"
PER_QUERY = "per_query.csv"
MEASURES = "measures.json"
QRELS = "qrels.tsv"

PerQuery = dict[str, dict[str, float]]
"""Per measure: each judged query's value."""


def write_evaluation(folder: Path, set_name: str, run: Run, evaluation: Evaluation, tag: str) -> None:
    """Write an evaluation's three files into a folder, each in one step; measures.json comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder / RUN, run, tag)
    write_per_query(folder / PER_QUERY, evaluation.per_query)
    summary = {
        "set": set_name,
        "n": len(evaluation.queries),
        "measures": evaluation.means,
        "policy": evaluation.policy,
    }
    write_json(folder / MEASURES, summary)


def write_per_query(path: Path, per_query: PerQuery) -> None:
    """Write a table of values: a row per judged query, sorted by id, values that read back equal."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query_id", *per_query])
    for query in sorted(next(iter(per_query.values()), {})):
        writer.writerow([query, *(repr(float(values[query])) for values in per_query.values())])
    write_text(path, text.getvalue())


def read_per_query(path: Path) -> PerQuery:
    """Return the table of a per_query.csv.

    Raises UserError, with file and line, for a header without `query_id` first, a row of another length, a query listed
    twice or a value that is no finite number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}") from error
    if not rows or len(rows[0]) < 2 or rows[0][0] != "query_id":
        raise UserError(f"{path}:1: expected the header 'query_id,MEASURE,...'")
    names = rows[0][1:]
    table: PerQuery = {name: {} for name in names}
    for number, row in enumerate(rows[1:], start=2):
        values = [_finite(text) for text in row[1:]]
        if len(row) != len(rows[0]) or None in values:
            raise UserError(f"{path}:{number}: expected a query id and {len(names)} finite numbers")
        if row[0] in table[names[0]]:
            raise UserError(f"{path}:{number}: query {row[0]!r} is listed twice")
        for name, value in zip(names, values, strict=True):
            assert value is not None
            table[name][row[0]] = value
    return table


def read_measures(path: Path) -> dict[str, Any]:
    """Return the summary of a measures.json; raises UserError where it is none."""
    try:
        summary = read_json(path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(summary, dict) or not all(isinstance(summary.get(key), dict) for key in ("measures", "policy")):
        raise UserError(f"{path}: expected an object with the keys set, n, measures and policy")
    return summary


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

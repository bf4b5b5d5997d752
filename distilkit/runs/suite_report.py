"""What a finished suite ends in: for each student the tables of its strategies, teacher and first stage beside them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from distilkit.comparison.arguments import REFERENCES
from distilkit.comparison.compare import compare
from distilkit.comparison.render import Screen, render
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System, read_systems
from distilkit.comparison.tables.build import available, build
from distilkit.comparison.tables.table import Table
from distilkit.files import read_json

ALONE = "no teacher"


def suite_report(folder: Path, format_: str, screen: Screen | None = None) -> str:
    """Return the comparisons of a suite's finished runs, for a screen or as JSON."""
    suite = read_json(folder / "suite.json")
    results = suite_results(folder, suite)
    if format_ == "json":
        tables = {student: json.loads(render(result, "json")) for student, result in results.items()}
        return json.dumps({"suite": suite["name"], "students": tables}, indent=2, ensure_ascii=False)
    parts = [
        f"{suite['name']}, student {student}\n\n{render(result, format_, screen).rstrip()}"
        for student, result in results.items()
    ]
    return "\n\n".join([*parts, f"Suite folder: {folder}"])


def suite_results(folder: Path, suite: dict[str, Any]) -> dict[str, ComparisonResult]:
    """Return the comparison of each student's runs, on all query sets that they share."""
    settings = suite["report"]
    found = {}
    for student in dict.fromkeys(run["student"] for run in suite["runs"]):
        runs = [run for run in suite["runs"] if run["student"] == student]
        systems = _systems(folder, runs, suite["recipe"]["matrix"]["strategies"])
        names = {system.name for system in systems}
        baselines = [name for name in settings["baselines"] if name.rpartition(":")[0] in names or name in names]
        result = compare(systems, baselines=baselines or None, correction=settings["correction"])
        found[student] = replace(result, tables=tuple(_tables(result, settings["depths"])))
    return found


def _tables(result: ComparisonResult, depths: list[int]) -> list[Table]:
    """Return the tables of the papers beside the means: re-ranking depths where asked for, training time and curve."""
    by_depth = build(result, ["depth"], depths) if depths else []
    return [*by_depth, *(table for table in available(result) if table.key in ("training", "curve"))]


def _systems(folder: Path, runs: list[dict[str, Any]], strategies: list[str]) -> list[System]:
    """Return the systems of some runs, named by what the matrix calls their strategy (and teacher, of several).

    A student whose strategy is none of the matrix, since it has no teacher to learn from, is called after that.
    """
    teachers = {run["teacher"] for run in runs} - {"none"}
    # A teacher is called after the first run that has it, which those without one have too, to be held against.
    taught_first = sorted(runs, key=lambda run: run["teacher"] == "none")
    paths = [str(folder.parent / run["name"]) for run in taught_first]
    labels = {}
    for run in runs:
        label = run["strategy"]
        if run["teacher"] == "none" and teachers and label not in strategies:
            label = ALONE
        elif len(teachers) > 1 and run["teacher"] != "none":
            label = f"{label}, {run['teacher']}"
        labels[run["name"]] = labels[run["name"].rpartition("-seed")[0]] = label
        labels[f"teacher-{run['name']}"] = f"teacher {run['teacher']}"
    systems = read_systems(paths, runs_dir=folder.parent, eval_set=None)
    order = list(labels.values())  # that of the matrix, behind the references
    named = [replace(system, name=labels.get(system.name, system.name)) for system in systems]
    return sorted(named, key=lambda system: order.index(system.name) if system.kind not in REFERENCES else -1)

"""Reports of finished runs and suites: their systems compared, and what was chosen on the validation queries."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import fill

from distilkit.comparison.arguments import REFERENCES
from distilkit.comparison.compare import compare
from distilkit.comparison.render import Screen, render
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System, read_systems
from distilkit.comparison.tables import available, build
from distilkit.comparison.wording import NOTHING, visible
from distilkit.errors import UserError
from distilkit.run_folders.read import StoredRun, read_suite
from distilkit.run_folders.record import JsonObject, as_table, number
from distilkit.tables import table
from distilkit.untrusted import fits

ALONE = "no teacher"
_SUITE = {
    "name": str,
    "runs": [{"name": str, "strategy": str, "student": str, "teacher": str}],
    "recipe": {"matrix": {"strategies": [str]}},
    "report": {"baselines": [str], "correction": str, "depths": [int]},
}


def report(folder: Path, format_: str, screen: Screen | None = None) -> str:
    """Return a finished run's comparison of all its query sets, as text for a screen or as JSON."""
    run = StoredRun(folder)
    sets = [name for name, results in run.all_results().items() if results.measures()]
    results = {name: _compare(run, name) for name in sorted(sets, key=lambda name: (name != "test", name))}
    choices = _choices(run)
    if format_ == "json":
        found = {name: result.to_json() for name, result in results.items()}
        whole = {"run": run.record.name, "choices": choices, "notes": _notes(run), "sets": found}
        if agreed := run.agreement():
            whole["agreement_with_the_teacher"] = agreed
        return json.dumps(whole, indent=2, ensure_ascii=False)
    parts = []
    for name, result in results.items():
        heading = visible(f"{run.record.name} on {run.record.data.get('name')}, query set {name}")
        parts.append(f"{heading}\n\n{render(result, format_, screen).rstrip()}")
    if agreed := run.agreement():
        parts.append(_agreement([(run.record.name, agreed)]))
    width = (screen or Screen()).width
    lines = [fill(visible(f"{system}: {text}"), width, subsequent_indent="  ") for system, text in choices.items()]
    if lines:
        parts.append("Chosen on the validation queries\n" + "\n".join(lines))
    parts += [*_of_collection(_notes(run), screen), *_of_recipe(run.record.resolved, screen)]
    return "\n\n".join([*parts, visible(f"Run folder: {run.path}")])


def _agreement(found: list[tuple[str, JsonObject]]) -> str:
    """Return the part of a report that says how far students without labels agree with their teacher."""
    first = found[0][1]
    names = list(first["measures"])
    rows = [[visible(name), *(_figure(one["measures"].get(measure)) for measure in names)] for name, one in found]
    heading = (
        f"Agreement with the teacher on {first['queries']} validation queries without judgements, at depth "
        f"{first['depth']}; not a measure of effectiveness"
    )
    return f"{heading}\n\n{table(['', *names], rows)}"


def _figure(value: object) -> str:
    found = number(value)
    return NOTHING if found is None else f"{found:.4f}"


def _compare(run: StoredRun, eval_set: str) -> ComparisonResult:
    systems = read_systems([str(run.path)], runs_dir=run.path.parent, eval_set=eval_set)
    letters = {"bm25": "B", "teacher": "T", run.record.twin: "L"}
    baselines = [f"{system.name}:{letters[system.name]}" for system in systems if system.name in letters]
    return compare(systems, baselines=baselines or None, eval_set=eval_set)


def _notes(run: StoredRun) -> list[str]:
    """Return what was said of a run's collection: rules that were applied and counted, queries that were left out."""
    notes = run.record.data.get("notes")
    return [visible(str(note)) for note in notes] if isinstance(notes, list) else []


def _of_collection(notes: list[str], screen: Screen | None) -> list[str]:
    """Return the part of a report that states them; none where there is nothing to say."""
    width = (screen or Screen()).width
    lines = [fill(note, width, subsequent_indent="  ") for note in notes]
    return ["\n".join(["Of the collection", *lines])] if lines else []


def _of_recipe(resolved: JsonObject, screen: Screen | None) -> list[str]:
    """Return the part of a report that a recipe asks for; none where it asks for none."""
    note = as_table(resolved.get("report")).get("note")
    return [fill(visible(str(note)), (screen or Screen()).width)] if note else []


def _choices(run: StoredRun) -> dict[str, str]:
    """Return what the grids of a run and its twin chose, and the validation of every point tried."""
    runs = {run.record.name: run}
    if (twin := run.twin()) is not None and run.record.twin:
        runs[run.record.twin] = twin
    found = {}
    for name, one in runs.items():
        if grid := one.grid():
            measure = grid["measure"]
            points = [f"{_values(point['values'])}: {_validation(point, measure)}" for point in grid["tried"]]
            found[name] = f"{_values(grid['chosen'])} ({measure}: {', '.join(points)})"
    return found


def _validation(point: JsonObject, measure: str) -> str:
    return _figure(point["validation"].get(measure))


def _values(values: JsonObject) -> str:
    return ", ".join(
        f"{key.rpartition('.')[2]} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in values.items()
    )


def suite_report(folder: Path, format_: str, screen: Screen | None = None) -> str:
    """Return the comparisons of a suite's finished runs, one a student, as text for a screen or as JSON."""
    suite, results = _suite(folder), suite_results(folder)
    if format_ == "json":
        tables = {student: result.to_json() for student, result in results.items()}
        return json.dumps({"suite": suite["name"], "students": tables}, indent=2, ensure_ascii=False)
    parts = [
        visible(f"{suite['name']}, {'all students' if student == 'all' else f'student {student}'}")
        + f"\n\n{render(result, format_, screen).rstrip()}"
        for student, result in results.items()
    ]
    runs = [one for one in (StoredRun(folder.parent / run["name"]) for run in suite["runs"]) if one.exists()]
    if agreed := [(one.path.name, found) for one in runs if (found := one.agreement())]:
        parts.append(_agreement(agreed))
    notes = dict.fromkeys(note for run in runs for note in _notes(run))
    parts += [*_of_collection([*notes], screen), *_of_recipe(suite["recipe"], screen)]
    return "\n\n".join([*parts, visible(f"Suite folder: {folder}")])


def suite_results(folder: Path, baselines: Sequence[str] = ()) -> dict[str, ComparisonResult]:
    """Return the comparison of a suite's finished runs by student, or of all students as `all`.

    `baselines` take the place of those that the suite's recipe names. Raises UserError where a folder is not a suite's,
    or runs lack results.
    """
    suite = _suite(folder)
    groups: dict[str, list[JsonObject]] = {}
    for run in suite["runs"]:
        groups.setdefault("all" if suite["report"].get("one_table") else run["student"], []).append(run)
    asked = list(baselines) or suite["report"]["baselines"]
    return {student: _compare_runs_of(runs, folder, suite, asked) for student, runs in groups.items()}


def _suite(folder: Path) -> JsonObject:
    suite = read_suite(folder)
    if not fits(suite, _SUITE):
        record = folder / "suite.json"
        raise UserError(f"{record}: is not a record of a suite; expected its name, runs, recipe and report")
    return suite


def _compare_runs_of(runs: list[JsonObject], folder: Path, suite: JsonObject, asked: Sequence[str]) -> ComparisonResult:
    """Return the comparison of a student's runs, or of all students', on all query sets that they share.

    Beside the means it has the tables of re-ranking depths, where asked for, and of training time and curve.
    """
    settings = suite["report"]
    systems = _systems(folder, runs, suite["recipe"]["matrix"]["strategies"])
    names = {system.name for system in systems}
    baselines = [name for name in asked if name.rpartition(":")[0] in names or name in names]
    result = compare(systems, baselines=baselines or None, correction=settings["correction"])
    tables = build(result, ["depth"], settings["depths"]) if settings["depths"] else []
    tables += [table for table in available(result) if table.key in ("training", "curve")]
    return replace(result, tables=tuple(tables))


def _systems(folder: Path, runs: list[JsonObject], strategies: list[str]) -> list[System]:
    """Return the systems of some runs, named by what the matrix calls their strategy (and teacher, of several).

    A student whose strategy is none of the matrix, since it has no teacher to learn from, is called after that.
    """
    teachers, students = {run["teacher"] for run in runs} - {"none"}, {run["student"] for run in runs}
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
        label = f"{label}, {run['student']}" if len(students) > 1 else label
        labels[run["name"]] = labels[run["name"].rpartition("-seed")[0]] = label
        labels[f"teacher-{run['name']}"] = f"teacher {run['teacher']}"
    systems = read_systems(paths, runs_dir=folder.parent, eval_set=None)
    order = list(labels.values())  # that of the matrix, behind the references
    named = [replace(system, name=labels.get(system.name, system.name)) for system in systems]
    return sorted(named, key=lambda system: order.index(system.name) if system.kind not in REFERENCES else -1)

"""The verbs that show what there is: runs, show, strategies, recipes, recipe-keys and tui. None of them needs torch."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit import option_values, options
from distilkit.tables import size, table

if TYPE_CHECKING:
    from distilkit.run_folders.listing import Summary
    from distilkit.run_folders.suites import StoredSuite


def runs(asked: options.Runs) -> str:
    """Return a row a run: state, strategy, student, step and measures; a suite is a row before those of its runs."""
    from distilkit.run_folders.disk import taken
    from distilkit.run_folders.listing import find_runs, summary
    from distilkit.run_folders.suites import find_suites

    rows = [summary(run, asked.runs_dir) for run in find_runs(asked.runs_dir)]
    suites = {suite.path.name: suite for suite in find_suites(asked.runs_dir)}
    if asked.json_:
        return json.dumps([*(suite.to_json() for suite in suites.values()), *rows], indent=2)
    if not rows and not suites:
        return f"no runs in {asked.runs_dir}"
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    header = ["run", "state", "strategy", "student", "step", "disk", *names]
    shown = [_run_row(row, names) for row in rows if row["name"].partition("/")[0] not in suites]
    for name, suite in suites.items():
        shown.append([f"{name} (suite)", suite.state, "", "", suite.progress(), "", *("" for _ in names)])
        shown += _rows_of_suite(suite, {row["name"]: row for row in rows}, names)
    shared = size(taken(asked.runs_dir / ".artifacts").size)
    ending = f"{shared} of artifacts are shared by runs; distilkit clean lists them"
    return f"{table(header, shown, optional=('disk', 'student', 'strategy'))}\n{ending}"


def _run_row(row: "Summary", names: list[str]) -> list[str]:
    step = f"{row['step']}/{row['total']}" if row["total"] else ""
    values = [f"{row['measures'][name]:.4f}" if name in row["measures"] else "" for name in names]
    return [row["name"], row["state"], row["strategy"], row["student"], step, size(row["bytes"]), *values]


def _rows_of_suite(suite: "StoredSuite", rows: "dict[str, Summary]", names: list[str]) -> list[list[str]]:
    """Return the rows of a suite's runs, planned ones too, under their short names."""
    from distilkit.run_folders.names import short_names

    keys = {member.name: f"{suite.path.name}/{Path(member.name).name}" for member in suite.members}
    others = [key for key in rows if key.startswith(f"{suite.path.name}/") and key not in keys.values()]
    short = short_names([*keys.values(), *others])
    found = []
    for member in suite.members:
        key = keys[member.name]
        row = rows.get(key)
        cells = [member.state, member.strategy, member.student, "", "", *("" for _ in names)]
        found.append([f"  {short[key]}", *(_run_row(row, names)[1:] if row is not None else cells)])
    return [*found, *([f"  {short[key]}", *_run_row(rows[key], names)[1:]] for key in others)]


def show(asked: options.Show) -> str:
    """Return what the folder of one run, or of a suite, says."""
    from distilkit.run_folders import suites
    from distilkit.run_folders.listing import locate
    from distilkit.run_folders.show import describe, to_text

    for folder in (asked.runs_dir / asked.name, Path(asked.name)):
        if suites.is_suite(folder):
            suite = suites.read(folder)
            return json.dumps(suite.to_json(), indent=2) if asked.json_ else suites.to_text(suite)
    run = locate(asked.name, asked.runs_dir)
    return json.dumps(describe(run), indent=2) if asked.json_ else to_text(run)


def strategies(asked: options.Strategies) -> str:
    """Return a row a strategy, or one in full."""
    from distilkit.strategies.describe import explain, listing

    found = listing(asked.name)
    if asked.json_:
        return json.dumps(found, indent=2)
    if asked.name is not None:
        return explain(asked.name, shutil.get_terminal_size((120, 24)).columns)
    rows = [[row["name"], ", ".join(row["stages"]), row["paper"]] for row in found]
    return table(["strategy", "stages", "paper"], rows)


def recipes(asked: options.Recipes) -> str:
    """Return a row a shipped recipe."""
    from distilkit import recipe

    rows, suites = [], {}
    for name, path in recipe.shipped_recipes().items():
        loaded = recipe.load_recipe(path)
        names = loaded.matrix.strategies if loaded.matrix else (loaded.strategy["name"],)
        if loaded.matrix:
            suites[name] = f"a suite of {len(names)}"
        row = {"name": name, "strategy": ", ".join(names), "data": loaded.data.source}
        rows.append({**row, "description": loaded.description, "path": str(path)})
    if asked.json_:
        return json.dumps(rows, indent=2)
    columns = ["name", "strategy", "data", "description"]
    shown = [{**row, "strategy": suites.get(row["name"], row["strategy"])} for row in rows]
    lines = [[row[column] for column in columns] for row in shown]
    return table(["recipe", *columns[1:]], lines, optional=("data", "strategy"))


def recipe_keys(asked: options.RecipeKeys) -> str:
    """Return a row a key of a recipe, or of one of its sections."""
    from distilkit.recipe_keys import keys, section_help

    found = keys(asked.section)
    if asked.json_:
        return json.dumps([one.to_json() for one in found], indent=2)
    rows = [[one.key, ", ".join(one.choices) or one.kind, one.default, " ".join(one.help.split())] for one in found]
    told = section_help(asked.section) if asked.section else ""
    return f"{told}\n\n" * bool(told) + table(["key", "takes", "default", "what it is"], rows)


def tui(asked: options.Tui) -> None:
    """Open the terminal interface; returns when it is closed."""
    option_values.require_runs_dir(asked.runs_dir)
    from distilkit_tui.app import run

    run(asked.runs_dir)

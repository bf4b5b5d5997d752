"""`distilkit run`: train, evaluate and compare what a recipe names."""

import json
import sys
from pathlib import Path

from distilkit import option_values, options
from distilkit.commands.output import screen
from distilkit.comparison.reports import report, suite_report
from distilkit.errors import UserError
from distilkit.pipeline.plan import plan, suite_plan
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import execute
from distilkit.pipeline.suite_run import execute_suite
from distilkit.pipeline.trust import Act
from distilkit.recipe import load_with_source
from distilkit.run_folders.listing import locate


def run(asked: options.Run) -> str | None:
    """Do what a recipe names, or plan it; return the plan or the finished report, None but in the main process."""
    option_values.require_runs_dir(asked.runs_dir)
    overrides = list(asked.set_ or [])
    overrides += [f"name={json.dumps(asked.name)}"] if asked.name is not None else []
    overrides += [f"seed={asked.seed}"] if asked.seed is not None else []
    if asked.resume is not None and asked.resume != "auto":
        overrides.append(f"name={json.dumps(_run_name(asked.resume, asked.runs_dir))}")
    act = Act(asked.runs_dir, asked.dry_run, asked.resume is not None, asked.allow_plugins)
    recipe, source = load_with_source(asked.recipe, overrides, act)
    request = Request(recipe, source, asked.runs_dir, asked.resume is not None)
    suite = recipe.matrix is not None
    if asked.dry_run:
        made = suite_plan(request) if suite else plan(request)
        return json.dumps(made.to_json(), indent=2) if asked.json_ else made.to_text()
    folder = execute_suite(request, quiet=asked.json_) if suite else execute(request, quiet=asked.json_)
    if folder is None:
        return None
    reported = suite_report if (folder.path / "suite.json").exists() else report
    return reported(folder.path, "json" if asked.json_ else "text", screen(sys.stdout.isatty()))


def _run_name(name: str, runs_dir: Path) -> str:
    found = locate(name, runs_dir).path.resolve()
    if not found.is_relative_to(runs_dir.resolve()):
        raise UserError(f"--resume {name}: the run is not in {runs_dir}; name its folder with --runs-dir")
    return str(found.relative_to(runs_dir.resolve()))

"""Runs a recipe and its label-only twin, resuming what was left."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from distilkit.errors import Busy, RunFailed, Stopped, UserError
from distilkit.progress import ProcessGroup
from distilkit.recipe import Source, resolved
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.checks import check
from distilkit.runs.claim import exit_code, working
from distilkit.runs.experiment import Experiment
from distilkit.runs.fill import train_and_evaluate
from distilkit.runs.folder import RunFolder
from distilkit.runs.read import StoredRun
from distilkit.runs.reporter import Reporter
from distilkit.runs.work import remaining_work
from distilkit.settings import Recipe
from distilkit.strategies.stage import WITHOUT_EFFECT

# Keys that may differ when a run is resumed, as no result depends on them.
COSMETIC = {"description", *(f"{section}.{key}" for section in ("train", "teacher.train") for key in WITHOUT_EFFECT)}


@dataclass(frozen=True)
class Request:
    """What `distilkit run` was asked for."""

    recipe: Recipe
    source: Source
    runs_dir: Path
    resume: bool = False

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.runs_dir / self.recipe.name)


def run(request: Request, reporter: Reporter, processes: ProcessGroup) -> RunFolder:
    """Train and evaluate what a recipe names, and its label-only twin; return the finished run's folder.

    Raises UserError for wrong input (then nothing is left behind), RunFailed, and Stopped after a checkpoint.
    """
    folder = request.folder
    processes.on_main(lambda: _refuse_clash(request))
    if processes.broadcast(is_done(folder)):
        return folder
    artifacts = Artifacts(request.runs_dir / ".artifacts", processes, reporter)
    with reporter.live():
        experiment = Experiment(request.recipe, artifacts, processes)
        check(experiment)
        twin = experiment.twin()  # all processes together, as its steps may be those of a text that is yet to be read
        processes.on_main(lambda: _refuse_foreign_twin(twin, request))
        with working(experiment, folder, reporter, overrides=request.source.overrides):
            reporter.whole.start(_whole_work(experiment, request.runs_dir))
            train_and_evaluate(experiment, folder, reporter)
            _run_twin(experiment, request.runs_dir)
    return folder


def _whole_work(experiment: Experiment, runs_dir: Path) -> float:
    work = remaining_work(experiment, RunFolder(runs_dir / experiment.recipe.name))
    if (twin := experiment.twin()) is None:
        return work
    other = Experiment(twin, experiment.artifacts, experiment.processes)
    return work + remaining_work(other, RunFolder(runs_dir / twin.name), twin=True)


def _run_twin(experiment: Experiment, runs_dir: Path) -> None:
    """Train and evaluate the label-only twin in a folder of its own, unless it is finished."""
    recipe, processes = experiment.twin(), experiment.processes
    if recipe is None or processes.broadcast(is_done(folder := RunFolder(runs_dir / recipe.name))):
        return
    reporter = experiment.reporter.child(folder)
    twin = Experiment(recipe, Artifacts(experiment.artifacts.root, processes, reporter), processes)
    with working(twin, folder, reporter, twin_of=experiment.recipe.name):
        train_and_evaluate(twin, folder, reporter)


def is_done(folder: RunFolder) -> bool:
    """Return whether a run, its twin included, is finished."""
    return StoredRun(folder.path).status().state == "done"


def _refuse_clash(request: Request) -> None:
    folder = request.folder
    if not folder.exists():
        return
    if not request.resume:
        raise UserError(f"{folder.path} exists; continue it with --resume auto, or choose another name with --name")
    _refuse_change(folder, request.recipe)


def _refuse_foreign_twin(twin: Recipe | None, request: Request) -> None:
    """A folder under the twin's name must be this run's twin; its results would be taken for the twin's otherwise."""
    if twin is None or not (folder := RunFolder(request.runs_dir / twin.name)).exists():
        return
    name = request.recipe.name
    if StoredRun(folder.path).record.twin_of != name:
        raise UserError(f"{folder.path} exists and is not the twin of {name}; choose another name with --name")
    _refuse_change(folder, twin)


def _refuse_change(folder: RunFolder, recipe: Recipe) -> None:
    stored, asked = _flat(StoredRun(folder.path).record.resolved), _flat(resolved(recipe))
    changed = sorted(key for key in {*stored, *asked} if stored.get(key) != asked.get(key) and key not in COSMETIC)
    if changed:
        key = changed[0]
        raise UserError(
            f"{folder.path} was started with {key} = {stored.get(key)!r}, not {asked.get(key)!r}; "
            "resume it with the same recipe, or choose another name with --name"
        )


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def execute(request: Request, quiet: bool = False) -> RunFolder | None:
    """Run a request in this process, one of many under `accelerate launch`; only the main one returns the folder."""
    if request.resume and is_done(request.folder):  # nothing to compute, so torch stays out of it
        _refuse_clash(request)
        return request.folder if os.environ.get("RANK", "0") == "0" else None
    from distilkit.training.processes import Processes

    processes = Processes()
    main = processes.is_main
    try:
        folder = run(request, Reporter(quiet=quiet or not main, leads=main), processes)
    except (UserError, RunFailed, Stopped, KeyboardInterrupt) as error:
        if main or isinstance(error, Busy):  # all processes of a suite go on with another run
            raise
        raise SystemExit(exit_code(error)) from None  # all processes fail alike, and one of them says it
    except Exception as error:
        if _file_problem(error):
            raise RunFailed(f"{error}; nothing that was finished is lost: go on with --resume auto") from error
        if processes.count > 1 and "gloo" in str(error):
            raise RunFailed(f"process {processes.rank} has lost another one that failed or was killed") from error
        raise
    return folder if main else None


def _file_problem(error: Exception) -> bool:
    """Tell whether a file could not be read or written; tokenizers says so with an exception of no kind at all."""
    return isinstance(error, (OSError, SafetensorError)) or type(error) is Exception

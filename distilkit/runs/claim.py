"""A run's folder while it is worked on: its lock, its record, its life signs, and how it ended."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from distilkit.errors import Busy, Stopped, UserError
from distilkit.recipe import resolved
from distilkit.runs.experiment import Experiment
from distilkit.runs.folder import RunFolder, provenance
from distilkit.runs.lock import Lock
from distilkit.runs.reporter import Reporter
from distilkit.strategies import strategy_from_table, strategy_name


@contextmanager
def working(
    experiment: Experiment,
    folder: RunFolder,
    reporter: Reporter,
    overrides: tuple[str, ...] = (),
    twin_of: str | None = None,
) -> Iterator[None]:
    """Hold a run's folder for a block: its lock, its record, its life signs, and how it ended."""
    processes = experiment.processes
    lock = Lock(folder.lock)
    # By all processes, since it may read the collection, which they do together.
    record = _record(experiment, overrides, twin_of)

    def claim() -> bool:
        if not lock.acquire():
            raise Busy(f"{folder.path} is being worked on by another process")
        folder.stop.unlink(missing_ok=True)
        if new := not folder.exists():
            folder.create(record)
        return new

    made = processes.on_main(claim)
    if processes.is_main:
        reporter.folder = folder
        reporter.status("running", phase="starting")
    try:
        yield
        reporter.status("done", phase="done", exit={"code": 0})
    except BaseException as error:
        if processes.is_main:
            _record_end(folder, reporter, error, made)
        raise
    finally:
        lock.release()


def _record(experiment: Experiment, overrides: tuple[str, ...], twin_of: str | None) -> dict[str, Any]:
    recipe, collection = experiment.recipe, experiment.materials.collection
    twin = experiment.twin()
    student = recipe.student
    return {
        "name": recipe.name,
        "strategy": strategy_name(strategy_from_table(recipe.strategy)),
        "student": f"{student.architecture}:{student.shape or student.start}",
        "seed": recipe.seed,
        "twin": twin.name if twin else None,
        "twin_of": twin_of,
        "overrides": list(overrides),
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "resolved": resolved(recipe),
        "data": {"name": collection.name, "fingerprint": collection.fingerprint, "info": collection.info},
        **provenance(),
    }


def _record_end(folder: RunFolder, reporter: Reporter, error: BaseException, made: bool) -> None:
    if isinstance(error, UserError) and made and not folder.model.exists():
        shutil.rmtree(folder.path, ignore_errors=True)  # nothing was done, so the name stays free
        reporter.folder = None
        return
    code = exit_code(error)
    stopped = code == 130
    try:
        reporter.status("stopped" if stopped else "crashed", exit={"code": code, "error": str(error)})
        reporter.say(f"{'stopped' if stopped else 'failed'}: {error}", quiet=True)
    except OSError:
        pass  # a full disk: what stopped the run is said on the screen


def exit_code(error: BaseException) -> int:
    """Return what a command that ends like this exits with."""
    return 130 if isinstance(error, (Stopped, KeyboardInterrupt)) else 2 if isinstance(error, UserError) else 1

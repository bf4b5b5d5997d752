"""Runs a suite's members one after another, beside other processes and machines that work on the same suite."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from distilkit.errors import Busy, GroupLost, RunFailed, Stopped, UserError
from distilkit.files import write_json
from distilkit.manifest import sealed
from distilkit.pipeline.card import refresh_cards, write_card
from distilkit.pipeline.checks import Checks
from distilkit.pipeline.content import refuse_other_content
from distilkit.pipeline.disk import DiskNeed
from distilkit.pipeline.forecast import Forecast, threads_of
from distilkit.pipeline.latency import Finished, keep_latencies
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.run import execute
from distilkit.pipeline.session import is_done, refuse_outside
from distilkit.pipeline.suite import SuiteRun, jobs_of, members
from distilkit.pipeline.workspace import Workspace
from distilkit.plugins import this_command
from distilkit.progress import OneProcess
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.lock import Lock, is_held
from distilkit.tables import duration, plain
from distilkit.training.precision import AutoPrecision

# Set in the processes that [matrix] jobs starts, to the one that starts them; they start no others and print no table.
WORKER = "DISTILKIT_SUITE_WORKER"
WAIT = 2.0
# Of Linux's prctl: the signal that a process is sent when the one that started it ends.
PR_SET_PDEATHSIG = 1


def execute_suite(request: Request, quiet: bool = False) -> RunFolder | None:
    """Train and evaluate every member that is not done; return the suite's folder, None in a process that reports
    nothing.

    A member that another process works on is left to it and waited for. Members that fail do not keep the others from
    being trained. Raises UserError before anything is trained where any member could not be, RunFailed at the end where
    one has failed.
    """
    found = members(request.recipe)
    if WORKER in os.environ:
        _end_with(int(os.environ[WORKER]))
    folder, worker, leads = request.folder, WORKER in os.environ, os.environ.get("RANK", "0") == "0"
    refuse_outside(folder, request.runs_dir)
    if folder.path.exists() and not request.resume and not worker:
        raise UserError(f"{folder.path} exists; continue it with --resume auto, or choose another name with --name")
    todo = [member for member in found if not is_done(RunFolder(request.runs_dir / member.recipe.name))]
    if leads and not worker:
        _refuse_foreign(folder, found)
        auto, need, forecast = _check_all(found, todo, request)
        if todo:
            said = f"suite {folder.path.name}: {len(todo)} runs to train; {need.require_free(request.runs_dir)}"
            Reporter(quiet=quiet).say(said, log=False)
        write_json(folder.path / "suite.json", sealed(_record(request, found, auto)))
        for member in found:
            if member not in todo:
                refresh_cards(RunFolder(request.runs_dir / member.recipe.name))
    else:
        forecast = None
    failed: list[str] = []
    with _workers(request, len(todo), worker):
        _train_all(todo, request, quiet or worker, failed, forecast)
    if failed:
        raise RunFailed(f"{len(failed)} of {len(found)} runs failed: {'; '.join(failed)}")
    if not leads or worker:
        return None
    _time_all(found, request, quiet)
    return folder


def _time_all(found: list[SuiteRun], request: Request, quiet: bool) -> None:
    """Time the systems of all members together, where this was not done yet and no other process does it."""
    lock = Lock(request.folder.path / "latency.lock")
    if not lock.acquire():
        return
    reporter = Reporter(quiet=quiet)
    try:
        with reporter.live():
            workspace = Workspace(request.artifacts, OneProcess(), reporter, auto=request.recorded_precision())
            runs = [(member.recipe, RunFolder(request.runs_dir / member.recipe.name)) for member in found]
            finished = [Finished(Pipeline(recipe, workspace), folder) for recipe, folder in runs]
            if keep_latencies(finished, workspace):
                for one in finished:
                    write_card(one.folder)
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


def _end_with(parent: int) -> None:
    """Let this process be asked to stop, behind a checkpoint, when the one that started it ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        raise Stopped("the suite's main process has ended")


def _refuse_foreign(folder: RunFolder, found: list[SuiteRun]) -> None:
    """Raise UserError for a folder that distilkit did not make: no suite is put into it."""
    if (folder.path / "suite.json").exists() or not folder.path.exists():
        return
    own = {member.recipe.name.rpartition("/")[2] for member in found}
    names = sorted(one.name for one in folder.path.iterdir()) if folder.path.is_dir() else ["no folder"]
    strange = [one for one in names if one not in own and not one.startswith((".suite.json.", "worker-"))]
    if strange:
        raise UserError(f"{folder.path} exists and is not a suite: {strange[0]}; choose another name with --name")


def _check_all(
    found: list[SuiteRun], todo: list[SuiteRun], request: Request
) -> tuple[AutoPrecision | None, DiskNeed, Forecast]:
    """Raise UserError where a member could not be trained.

    Returns what `bf16 = "auto"` comes to, the disk that is needed, and the forecast of the time.

    Those that were trained before must have been trained on the same content, as they share a table with the others.
    """
    recorded = request.recorded_precision()
    workspace = Workspace(request.artifacts, OneProcess(), Reporter(quiet=True), auto=recorded)
    jobs = jobs_of(request.recipe, len(todo))
    checks, need, forecast = Checks(), DiskNeed(at_once=jobs), Forecast(workspace, jobs)
    for member in found if todo else ():
        try:
            pipeline = Pipeline(member.recipe, workspace)
            if member in todo:
                checks.check(pipeline)
                need.add(pipeline)
                forecast.add(pipeline)
            # The content as all processes of the group will find it, of which this one checks alone.
            content = {**pipeline.content, "processes": int(os.environ.get("WORLD_SIZE", "1"))}
            refuse_other_content(RunFolder(request.runs_dir / member.recipe.name), content)
        except UserError as error:
            raise UserError(f"{member.strategy} with {member.student}: {error}") from None
    return workspace.auto, need, forecast


def _record(request: Request, found: list[SuiteRun], auto: AutoPrecision | None) -> dict[str, Any]:
    recipe = request.recipe
    return {
        "name": recipe.name,
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "report": recipe.report.model_dump(mode="json"),
        "plugins": [one.to_json() for one in request.source.plugins],
        "precision": {"auto": auto.to_json() if auto else None},
        "runs": [member.to_json() for member in found],
    }


def _train_all(
    todo: list[SuiteRun], request: Request, quiet: bool, failed: list[str], forecast: Forecast | None = None
) -> None:
    """Train members until none is left, those last that others are working on."""
    left, console = list(todo), Reporter(quiet=quiet)
    while left:
        busy: list[SuiteRun] = []
        for place, member in enumerate(left):
            own = Request(member.recipe, replace(request.source, overrides=()), request.runs_dir, resume=True)
            try:
                if _is_over(own.folder):
                    continue
                number = f"{todo.index(member) + 1} of {len(todo)}"
                rest = _shown_left(forecast, [one.recipe.name for one in (*busy, *left[place:])])
                console.say(f"suite: {member.recipe.name} ({number}{rest})", log=False)
                execute(own, quiet=quiet)
            except Busy:
                busy.append(member)
            except (Stopped, GroupLost):  # what was asked of all; a group that cannot work on anything any more
                raise
            except (RunFailed, UserError) as error:  # after all checks something can still be damaged
                failed.append(f"{member.recipe.name}: {error}")
            except SystemExit as ended:  # of another process than the main one, which says why
                if ended.code not in (1, 2):
                    raise
                failed.append(f"{member.recipe.name}: exit code {ended.code}")
            except Exception as error:
                if os.environ.get("WORLD_SIZE", "1") != "1":
                    raise  # in one process of several alone, perhaps, and the others wait for it
                failed.append(f"{member.recipe.name}: {type(error).__name__}: {error}")
                with suppress(OSError):  # it may have no folder yet
                    for line in traceback.format_exc().splitlines():
                        own.folder.append_log(plain(line))
        # A member that its other process gave up is taken up here in the next round.
        if len(busy) == len(left):
            time.sleep(WAIT)
        left = busy


def _shown_left(forecast: Forecast | None, runs: list[str]) -> str:
    """Return how long the rest of a suite takes, empty where that is not known."""
    seconds = None if forecast is None or os.environ.get("WORLD_SIZE", "1") != "1" else forecast.seconds_left(runs)
    return "" if seconds is None else f"; about {duration(seconds)} left for all"


def _is_over(folder: RunFolder) -> bool:
    """Return whether another process has done a run meanwhile; raises Busy where one is working on it.

    The processes of a group find both out together, when they claim a run.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1" or not folder.exists():
        return False
    if is_held(folder.lock):
        raise Busy(f"{folder.path} is being worked on by another process")
    return is_done(folder)


@contextmanager
def _workers(request: Request, todo: int, worker: bool) -> Iterator[None]:
    """Work on the suite in [matrix] jobs processes, which share out the machine's cores."""
    jobs = jobs_of(request.recipe, todo)
    if worker or jobs < 2:
        yield
        return
    import torch

    threads = threads_of(jobs)
    torch.set_num_threads(threads)
    command = [*this_command(), "run", str(request.source.files[0]), "--resume", "auto"]
    command += ["--runs-dir", str(request.runs_dir)]
    command += [word for override in request.source.overrides for word in ("--set", override)]
    environment = {**os.environ, WORKER: str(os.getpid()), "OMP_NUM_THREADS": str(threads)}
    started = []
    try:
        for number in range(1, jobs):
            log = (request.folder.path / f"worker-{number}.log").open("ab")
            with log:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        yield
        for process in started:
            process.wait()
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()  # which stops after a checkpoint
                process.wait()

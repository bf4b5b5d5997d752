"""Runs a recipe and its label-only twin, resuming what was left: teacher, references, student, evaluation."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from safetensors import SafetensorError

from distilkit.errors import Busy, GroupLost, RunFailed, Stopped, UserError, is_out_of_memory, out_of_memory
from distilkit.files import remove_folder, write_json
from distilkit.manifest import sealed
from distilkit.models.weights import bin_note
from distilkit.pipeline.card import refresh_cards, write_card
from distilkit.pipeline.checks import check
from distilkit.pipeline.content import refuse_other_content
from distilkit.pipeline.disk import disk_need
from distilkit.pipeline.forecast import missing
from distilkit.pipeline.latency import Finished, keep_latencies
from distilkit.pipeline.pipeline import GridPoint, Pipeline
from distilkit.pipeline.probe import prepare_data, probe
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.results import keep_first_stage, keep_model, keep_results, keep_teacher
from distilkit.pipeline.session import (
    exit_code,
    is_done,
    refuse_change,
    refuse_clash,
    refuse_foreign_twin,
    state_needs,
    working,
)
from distilkit.pipeline.trackers import Trackers
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProcessGroup
from distilkit.recipe import RecipeSource, resolved
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.record import flat, read_status

CLOSE = 0.05
"""Within this share of the teacher's measure a student counts as close to it, in the tables of Gao et al. (2020)."""


def execute(request: Request, quiet: bool = False) -> RunFolder | None:
    """Run a request in this process, one of many under `accelerate launch`; only the main one returns the folder."""
    if request.resume and is_done(request.folder):  # nothing to compute, so torch stays out of it
        refuse_clash(request)
        if os.environ.get("RANK", "0") != "0":
            return None
        refresh_cards(request.folder)
        return request.folder
    from distilkit.training.processes import Processes

    processes = Processes()
    main = processes.is_main
    try:
        folder = run(request, Reporter(quiet=quiet or not main, leads=main), processes)
    except (UserError, RunFailed, Stopped, KeyboardInterrupt) as error:
        if isinstance(error, UserError | RunFailed) and not isinstance(error, Busy | GroupLost):
            processes.require_together(str(error))
        if main or isinstance(error, Busy | GroupLost):  # all processes of a suite go on with another run
            raise
        raise SystemExit(exit_code(error)) from None  # all processes fail alike, and one of them says it
    except Exception as error:
        said = out_of_memory(error) if is_out_of_memory(error) else ""
        if not said and _file_problem(error):
            said = f"{error}; nothing that was finished is lost: continue with --resume auto"
        if said:
            processes.require_together(said)
            raise RunFailed(said) from error
        if processes.count > 1 and (lost := processes.lost(error)):
            raise GroupLost(f"process {processes.rank} {lost}; continue with --resume auto") from error
        raise
    return folder if main else None


def run(request: Request, reporter: Reporter, processes: ProcessGroup) -> RunFolder:
    """Train and evaluate what a recipe names, and its label-only twin; return the finished run's folder.

    Raises UserError for wrong input (then nothing is left behind), RunFailed, and Stopped after a checkpoint.
    """
    folder = request.folder
    processes.on_main(lambda: refuse_clash(request))
    if processes.broadcast(is_done(folder)):
        processes.on_main(lambda: refresh_cards(folder))
        return folder
    recorded, spent = processes.on_main(request.recorded_precision), processes.on_main(lambda: _seconds_spent(folder))
    workspace = Workspace(request.artifacts, processes, reporter, folder.checkpoints, recorded)
    with reporter.live():
        pipeline = Pipeline(request.recipe, workspace)
        check(pipeline)
        processes.on_main(lambda: refuse_foreign_twin(request))
        _refuse_other_content(pipeline, folder)
        with working(pipeline, folder, reporter, request.source), _tracking(pipeline, folder, reporter):
            for said in pipeline.notes():
                reporter.say(said)
            for one in pipeline.checkpoints():
                if note := bin_note(one.folder):
                    reporter.say(note)
            # Read before anything is trained: what is wrong in a file ends the run now, and steps are counted by it.
            workspace.prepare(*pipeline.to_count(), *pipeline.first_stages())
            for stage in pipeline.stages():
                stage.examples.count(workspace)
            beside, own = request.twin_folder, Reporter(parent=reporter)
            twin = twin_of(pipeline, replace(workspace, progress=own, checkpoints=beside.checkpoints, used=set()))
            if twin is not None:
                _refuse_changed_twin(twin, beside)
            need = disk_need(pipeline, twin)
            reporter.say(processes.on_main(lambda: need.require_free(request.runs_dir)), quiet=True)
            _begin(pipeline, twin, folder, reporter, spent)
            train_and_evaluate(pipeline, folder, reporter)
            finished = [Finished(pipeline, folder)]
            if twin is not None:
                _run_twin(twin, beside, own, request.source)
                finished.append(Finished(twin, beside))
            keep_latencies(finished, workspace)
            for done in finished:  # with what the twin reaches, and what a query takes
                processes.on_main(lambda done=done: write_card(done.folder))  # type: ignore[misc]
    return folder


def _begin(pipeline: Pipeline, twin: Pipeline | None, folder: RunFolder, reporter: Reporter, spent: float) -> None:
    """Read all data, measure the first stage, and forecast how long the rest takes."""
    workspace, left = pipeline.workspace, missing(pipeline, twin)
    prepare_data(left, workspace)
    for one in pipeline.sets:
        keep_first_stage(pipeline, one, folder)
    probe(left, workspace)
    reporter.start_whole(sum(node.work(workspace) for node in left), spent)


def _seconds_spent(folder: RunFolder) -> float:
    """Return how long earlier processes worked on a run."""
    return read_status(folder.status_json).whole.get("spent_s", 0.0)


@contextmanager
def _tracking(pipeline: Pipeline, folder: RunFolder, reporter: Reporter) -> Iterator[None]:
    """Report to the trackers that the recipe names, for a block."""
    recipe = pipeline.recipe
    if not recipe.report_to or not reporter.leads:
        yield
        return
    settings = dict(flat(resolved(recipe)))
    reporter.trackers = Trackers.start(recipe.report_to, recipe.name, folder.path / "trackers", settings, reporter.say)
    try:
        yield
    finally:
        reporter.trackers.finish()
        reporter.trackers = None


def _refuse_other_content(pipeline: Pipeline, folder: RunFolder) -> None:
    content = pipeline.content
    pipeline.workspace.processes.on_main(lambda: refuse_other_content(folder, content))


def _refuse_changed_twin(twin: Pipeline, folder: RunFolder) -> None:
    twin.workspace.processes.on_main(lambda: refuse_change(folder, twin.recipe) if folder.exists() else None)
    _refuse_other_content(twin, folder)


def _run_twin(twin: Pipeline, folder: RunFolder, reporter: Reporter, source: RecipeSource) -> None:
    """Train and evaluate the label-only twin in a folder of its own, unless it is finished."""
    if twin.workspace.processes.broadcast(is_done(folder)):
        return
    with working(twin, folder, reporter, replace(source, overrides=())):
        train_and_evaluate(twin, folder, reporter)


def train_and_evaluate(pipeline: Pipeline, folder: RunFolder, reporter: Reporter) -> None:
    """Do everything that is not done yet; raises RunFailed, and Stopped after a checkpoint."""
    workspace, is_twin = pipeline.workspace, pipeline.twin_of is not None
    workspace.processes.on_main(lambda: state_needs(pipeline, folder))
    for place, chain in enumerate(pipeline.teacher_chains, 1):
        only = len(pipeline.teacher_chains) == 1
        with reporter.scope("teacher: " if only else f"teacher {place}/{len(pipeline.teacher_chains)}: "):
            _train(chain, workspace, reporter)
    for what, stage in pipeline.auxiliary_stages().items():
        with reporter.scope(f"{what}: "):
            _train([stage], workspace, reporter)
    if not is_twin:
        for one in pipeline.sets:
            keep_teacher(pipeline, one, folder)
    with reporter.scope("label-only: " if is_twin else "student: "):
        point = _train_student(pipeline, folder, reporter)
        keep_model(point.stages[-1], workspace, folder)
        _keep_curve(pipeline, folder, point)
        _keep_agreement(pipeline, folder, point)
        for one in pipeline.sets:
            keep_results(pipeline, one, folder, point)
    workspace.processes.on_main(lambda: write_card(folder))
    workspace.processes.on_main(lambda: state_needs(pipeline, folder))
    if workspace.processes.is_main:
        remove_folder(folder.checkpoints)


def _train(stages: list[TrainedStage], workspace: Workspace, reporter: Reporter) -> None:
    """Train a chain of stages, or find them trained, and enter their events into the run's."""
    for stage in stages:
        workspace.prepare(stage)
        if workspace.processes.is_main:
            reporter.replay(workspace.path(stage) / "events.jsonl", stage.key)
            if workspace.checkpoints is not None:
                remove_folder(stage.checkpoints(workspace.checkpoints))


def _train_student(pipeline: Pipeline, folder: RunFolder, reporter: Reporter) -> GridPoint:
    """Train every grid point and return the one with the best validation measure, the first of equals, in full."""
    points = pipeline.grid()
    best = _search(pipeline, folder, reporter, points) if len(points) > 1 else points[0].values
    chosen = pipeline.point(best)
    pipeline.workspace.processes.on_main(lambda: state_needs(pipeline, folder, chosen.stages))
    _train(chosen.stages, pipeline.workspace, reporter)
    # The last ones said so far may be those of another point, of a trial, or of the teacher.
    reporter.recall(chosen.stages[-1].key)
    if validation := chosen.stages[-1].known_validation(pipeline.workspace):
        reporter.fields["validation"] = validation
    return chosen


def _search(pipeline: Pipeline, folder: RunFolder, reporter: Reporter, points: list[GridPoint]) -> dict[str, Any]:
    """Try every grid point and return the values of the best."""
    tried: list[dict[str, Any]] = []
    metric, who = points[0].stages[-1].metric, reporter.prefix.removesuffix(": ")
    for number, point in enumerate(points, 1):
        with reporter.scope(f"{who} {number}/{len(points)}, {point.label}: ", trial=point.label):
            _train(point.stages, pipeline.workspace, reporter)
            tried.append({"values": point.values, "validation": point.stages[-1].validated(pipeline.workspace)})
    best = max(tried, key=lambda one: one["validation"][metric])
    if pipeline.workspace.processes.is_main:
        record = {"measure": metric, "fraction": pipeline.recipe.grid_fraction, "tried": tried}
        write_json(folder.grid, sealed({**record, "chosen": best["values"]}))
    chosen: dict[str, Any] = best["values"]
    return chosen


def _keep_curve(pipeline: Pipeline, folder: RunFolder, point: GridPoint) -> None:
    """Write how validation measures rose with training, and when they first came close to the teacher's."""
    workspace = pipeline.workspace
    facts = [workspace.facts(stage) for stage in point.stages]
    if not any(fact.get("curve") for fact in facts):
        return
    metric = point.stages[-1].metric
    level = pipeline.teacher_validation(metric)
    seconds, points = 0.0, []
    for stage, fact in zip(point.stages, facts, strict=True):
        for found in fact.get("curve", []):
            points.append({**found, "stage": stage.stage.name, "seconds": round(seconds + found["seconds"], 3)})
        seconds += fact["seconds"]
    near = math.inf if level is None else (1 - CLOSE) * level
    close = next((found for found in points if found[metric] >= near), None)
    record = {"measure": metric, "teacher": level, "within": CLOSE, "first_within": close, "points": points}
    workspace.processes.on_main(lambda: write_json(folder.curve, sealed(record)))


def _keep_agreement(pipeline: Pipeline, folder: RunFolder, point: GridPoint) -> None:
    """Write how far a student that was trained without labels agrees with its teacher."""
    if pipeline.recipe.train.labels == "judgements":
        return
    workspace, queries = pipeline.workspace, pipeline.validation.queries
    measures = point.stages[-1].validated(workspace)
    record = {"queries": len(queries.qrels), "depth": queries.candidates.depth, "measures": measures}
    workspace.processes.on_main(lambda: write_json(folder.agreement, sealed(record)))


def _file_problem(error: Exception) -> bool:
    """Tell whether a file could not be read or written; tokenizers says so with an exception of no kind at all."""
    return isinstance(error, (OSError, SafetensorError)) or type(error) is Exception

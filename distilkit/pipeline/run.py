"""Runs a recipe and its label-only twin, resuming what was left: teacher, references, student, evaluation."""

import math
import os
import shutil
from dataclasses import replace
from typing import Any

from safetensors import SafetensorError

from distilkit.errors import Busy, RunFailed, Stopped, UserError
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels
from distilkit.files import atomic_folder, write_json
from distilkit.models.weights import bin_note
from distilkit.pipeline.checks import check
from distilkit.pipeline.evaluation import FIRST_STAGE_COST, Cost, EvaluationSet
from distilkit.pipeline.graph import walk
from distilkit.pipeline.pipeline import GridPoint, Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.session import (
    exit_code,
    is_done,
    refuse_change,
    refuse_clash,
    refuse_foreign_twin,
    working,
)
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProcessGroup
from distilkit.runs.folder import RunFolder, machine
from distilkit.settings import Recipe

CLOSE = 0.05
"""Within this share of the teacher's measure a student counts as close to it, in the tables of Gao et al. (2020)."""


def execute(request: Request, quiet: bool = False) -> RunFolder | None:
    """Run a request in this process, one of many under `accelerate launch`; only the main one returns the folder."""
    if request.resume and is_done(request.folder):  # nothing to compute, so torch stays out of it
        refuse_clash(request)
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


def run(request: Request, reporter: Reporter, processes: ProcessGroup) -> RunFolder:
    """Train and evaluate what a recipe names, and its label-only twin; return the finished run's folder.

    Raises UserError for wrong input (then nothing is left behind), RunFailed, and Stopped after a checkpoint.
    """
    folder = request.folder
    processes.on_main(lambda: refuse_clash(request))
    if processes.broadcast(is_done(folder)):
        return folder
    recorded = processes.on_main(request.recorded_precision)
    workspace = Workspace(request.artifacts, processes, reporter, folder.checkpoints, recorded)
    with reporter.live():
        pipeline = Pipeline(request.recipe, workspace)
        check(pipeline)
        processes.on_main(lambda: refuse_foreign_twin(request))
        with working(pipeline, folder, reporter, request.source.overrides):
            for said in pipeline.notes():
                reporter.say(said)
            for one in pipeline.checkpoints():
                if note := bin_note(one.folder):
                    reporter.say(note)
            # Read before anything is trained: what is wrong in a file ends the run now, and steps are counted by it.
            workspace.prepare(*pipeline.to_count(), *pipeline.first_stages())
            for stage in pipeline.stages():
                stage.examples.count(workspace)
            twin = pipeline.twin()
            processes.on_main(lambda: _refuse_changed_twin(twin, request))
            reporter.whole.start(forecast(pipeline, _twin_pipeline(pipeline, twin)))
            train_and_evaluate(pipeline, folder, reporter)
            if twin is not None:
                _run_twin(twin, pipeline, RunFolder(request.runs_dir / twin.name), reporter)
    return folder


def forecast(*pipelines: Pipeline | None) -> float:
    """Return the multiply-accumulates of everything that some pipelines still have to compute, each result once."""
    targets = [node for one in pipelines if one is not None for node in one.targets()]
    workspace = next(one.workspace for one in pipelines if one is not None)
    return sum(node.work(workspace) for node in walk(targets, workspace.is_done))


def _twin_pipeline(pipeline: Pipeline, twin: Recipe | None) -> Pipeline | None:
    return None if twin is None else Pipeline(twin, pipeline.workspace, twin_of=pipeline.recipe.name)


def _refuse_changed_twin(twin: Recipe | None, request: Request) -> None:
    if twin is not None and (folder := RunFolder(request.runs_dir / twin.name)).exists():
        refuse_change(folder, twin)


def _run_twin(twin: Recipe, student: Pipeline, folder: RunFolder, reporter: Reporter) -> None:
    """Train and evaluate the label-only twin in a folder of its own, unless it is finished."""
    processes = student.workspace.processes
    if processes.broadcast(is_done(folder)):
        return
    own = Reporter(folder if reporter.leads else None, parent=reporter)
    workspace = replace(student.workspace, progress=own, checkpoints=folder.checkpoints)
    pipeline = Pipeline(twin, workspace, twin_of=student.recipe.name)
    with working(pipeline, folder, own):
        train_and_evaluate(pipeline, folder, own)


def train_and_evaluate(pipeline: Pipeline, folder: RunFolder, reporter: Reporter) -> None:
    """Do everything that is not done yet; raises RunFailed, and Stopped after a checkpoint."""
    workspace, is_twin = pipeline.workspace, pipeline.twin_of is not None
    for place, chain in enumerate(pipeline.teacher_chains, 1):
        only = len(pipeline.teacher_chains) == 1
        with reporter.scope("teacher: " if only else f"teacher {place}/{len(pipeline.teacher_chains)}: "):
            _train(chain, workspace, reporter)
    if not is_twin:
        for one in pipeline.sets:
            _evaluate_references(pipeline, one, folder)
    with reporter.scope("label-only: " if is_twin else "student: "):
        point = _train_student(pipeline, folder, reporter)
        workspace.processes.on_main(lambda: _keep_model(point.stages[-1], workspace, folder))
        _keep_curve(pipeline, folder, point)
        for one in pipeline.sets:
            _evaluate_student(pipeline, one, folder, point)
    if workspace.processes.is_main and folder.checkpoints.exists():
        shutil.rmtree(folder.checkpoints)


def _train(stages: list[TrainedStage], workspace: Workspace, reporter: Reporter) -> None:
    """Train a chain of stages, or find them trained, and enter their events into the run's."""
    for stage in stages:
        workspace.prepare(stage)
        if workspace.processes.is_main:
            reporter.replay(workspace.path(stage) / "events.jsonl", stage.key)
            if workspace.checkpoints is not None:
                shutil.rmtree(stage.checkpoints(workspace.checkpoints), ignore_errors=True)


def _train_student(pipeline: Pipeline, folder: RunFolder, reporter: Reporter) -> GridPoint:
    """Train every grid point and return the one with the best validation measure, the first of equals, in full."""
    points = pipeline.grid()
    best = _search(pipeline, folder, reporter, points) if len(points) > 1 else points[0].values
    chosen = pipeline.point(best)
    _train(chosen.stages, pipeline.workspace, reporter)
    # The last one said so far may be that of another point, of a trial, or of the teacher.
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
        write_json(folder.path / "grid.json", {**record, "chosen": best["values"]})
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
    workspace.processes.on_main(lambda: write_json(folder.path / "curve.json", record))


def _keep_model(student: TrainedStage, workspace: Workspace, folder: RunFolder) -> None:
    if not folder.model.exists():
        with atomic_folder(folder.model) as temporary:
            shutil.copytree(workspace.value(student), temporary, dirs_exist_ok=True)


def _evaluate_references(pipeline: Pipeline, one: EvaluationSet, folder: RunFolder) -> None:
    """Copy what the first stage and the teacher reach on a query set into the run's folder."""
    workspace, teacher = pipeline.workspace, pipeline.teacher_ranking(one)
    candidates = workspace.value(one.queries.candidates)
    systems = {"bm25": (candidates.run(one.data.collection), {**FIRST_STAGE_COST, "machine": machine()})}
    if teacher is not None:
        systems["teacher"] = (teacher.run(workspace), teacher.cost(workspace))
    for name, (run, cost) in systems.items():
        target = folder.eval / one.name / "references" / name
        if workspace.processes.is_main and not (target / "cost.json").exists():
            write_evaluation(target, one.name, run, one.measure(run), name)
            write_json(target / "cost.json", cost)


def _evaluate_student(pipeline: Pipeline, one: EvaluationSet, folder: RunFolder, point: GridPoint) -> None:
    workspace, target = pipeline.workspace, folder.eval / one.name
    if workspace.processes.broadcast((target / "cost.json").exists()):
        return
    ranking = pipeline.student_ranking(point, one)
    run, cost = workspace.value(ranking), workspace.value(Cost(ranking))
    if not workspace.processes.is_main:
        return
    evaluation = one.measure(run)
    if evaluation.missing:
        workspace.progress.say(f"{len(evaluation.missing)} judged queries have no candidates and score 0")
    write_evaluation(target, one.name, run, evaluation, pipeline.recipe.name)
    write_qrels(target / "qrels.tsv", one.queries.qrels)
    write_json(target / "cost.json", {**cost, **_spent(pipeline, point)})


def _spent(pipeline: Pipeline, point: GridPoint) -> dict[str, Any]:
    """Return the seconds of training: by stage, of the teacher, and of grid points that were not chosen."""

    def seconds(stage: TrainedStage) -> float:
        return float(pipeline.workspace.facts(stage)["seconds"])

    trials = {stage for other in pipeline.grid() for stage in other.stages} - {*point.stages}
    return {
        "training_seconds": {stage.stage.name: seconds(stage) for stage in point.stages},
        "teacher_seconds": sum(seconds(stage) for chain in pipeline.teacher_chains for stage in chain),
        "grid_seconds": round(sum(seconds(stage) for stage in trials), 3),
    }


def _file_problem(error: Exception) -> bool:
    """Tell whether a file could not be read or written; tokenizers says so with an exception of no kind at all."""
    return isinstance(error, (OSError, SafetensorError)) or type(error) is Exception

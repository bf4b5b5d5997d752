"""What a run does inside its folder: teacher, references, student, evaluation."""

import math
import shutil
from typing import Any

from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels
from distilkit.files import atomic_folder, read_json, write_json
from distilkit.runs.experiment import EvalSet, Experiment, GridPoint
from distilkit.runs.folder import RunFolder, machine
from distilkit.runs.jobs import Model, Teacher
from distilkit.runs.reporter import Reporter

# "Close to the teacher" in the tables of Gao et al. (2020).
CLOSE = 0.05


def train_and_evaluate(experiment: Experiment, folder: RunFolder, reporter: Reporter) -> None:
    """Do everything that is not done yet; raises RunFailed, and Stopped after a checkpoint."""
    teacher = experiment.teacher(folder.checkpoints)
    twin = read_json(folder.run_json)["twin_of"] if experiment.processes.is_main else None
    if not experiment.processes.broadcast(twin):
        _evaluate_references(experiment, folder, teacher)
    reporter.prefix = "label-only: " if experiment.recipe.name.endswith("-label_only") else "student: "
    point, student = _train_student(experiment, folder, reporter)
    experiment.processes.on_main(lambda: _keep_model(student, folder))
    _keep_curve(experiment, folder, point, teacher)
    for eval_set in experiment.sets:
        _evaluate_student(experiment, eval_set, folder, student, point)
    if experiment.processes.is_main and folder.checkpoints.exists():
        shutil.rmtree(folder.checkpoints)


def _train_student(experiment: Experiment, folder: RunFolder, reporter: Reporter) -> tuple[GridPoint, Model]:
    """Train every grid point and return the one with the best validation measure, the first of equals."""
    points = experiment.grid()
    best = _search(experiment, folder, reporter, points) if len(points) > 1 else points[0].values
    chosen = experiment.point(best)
    return chosen, _train_chain(experiment, folder, chosen)


def _search(experiment: Experiment, folder: RunFolder, reporter: Reporter, points: list[GridPoint]) -> dict[str, Any]:
    """Try every grid point and return the values of the best."""
    tried: list[dict[str, Any]] = []
    metric = experiment.stages.metric(points[0].jobs[-1])
    prefix = reporter.prefix
    for number, point in enumerate(points, 1):
        reporter.prefix = f"{prefix.removesuffix(': ')} {number}/{len(points)}, {point.label}: "
        reporter.trial = point.label
        _train_chain(experiment, folder, point)
        tried.append({"values": point.values, "validation": experiment.stages.validation(point.jobs[-1])})
    reporter.prefix, reporter.trial = prefix, ""
    best = max(tried, key=lambda one: one["validation"][metric])
    if experiment.processes.is_main:
        fraction = experiment.recipe.grid_fraction
        write_json(
            folder.path / "grid.json",
            {"measure": metric, "fraction": fraction, "tried": tried, "chosen": best["values"]},
        )
    chosen: dict[str, Any] = best["values"]
    return chosen


def _train_chain(experiment: Experiment, folder: RunFolder, point: GridPoint) -> Model:
    model = experiment.base
    for job in point.jobs:
        model = experiment.stages.get(job, folder.checkpoints)
    return model


def _keep_curve(experiment: Experiment, folder: RunFolder, point: GridPoint, teacher: Teacher | None) -> None:
    """Write how validation measures rose with training, and when they first came close to the teacher's."""
    facts = [experiment.artifacts.facts(experiment.stages.artifact(job)) for job in point.jobs]
    if not any(fact.get("curve") for fact in facts):
        return
    metric = experiment.stages.metric(point.jobs[-1])
    level = experiment.teacher_validation(teacher, metric)
    seconds, points = 0.0, []
    for job, fact in zip(point.jobs, facts, strict=True):
        for found in fact.get("curve", []):
            points.append({**found, "stage": job.stage.name, "seconds": round(seconds + found["seconds"], 3)})
        seconds += fact["seconds"]
    near = math.inf if level is None else (1 - CLOSE) * level
    close = next((found for found in points if found[metric] >= near), None)
    record = {"measure": metric, "teacher": level, "within": CLOSE, "first_within": close, "points": points}
    experiment.processes.on_main(lambda: write_json(folder.path / "curve.json", record))


def _keep_model(student: Model, folder: RunFolder) -> None:
    if not folder.model.exists():
        with atomic_folder(folder.model) as temporary:
            shutil.copytree(student.folder, temporary, dirs_exist_ok=True)


def _evaluate_references(experiment: Experiment, folder: RunFolder, teacher: Teacher | None) -> None:
    for eval_set in experiment.sets:
        materials, evaluator = eval_set.materials, eval_set.evaluator
        qrels = materials.qrels(eval_set.split, evaluator.settings.queries)
        queries = materials.query_set(eval_set.split, qrels, evaluator.depth)
        references = experiment.references_of(eval_set)
        systems = {"bm25": references.first_stage(queries)}
        if teacher is not None:
            systems["teacher"] = references.ranker("teacher", teacher, materials, queries)
        for name, (run, cost) in systems.items():
            target = folder.eval / eval_set.name / "references" / name
            if experiment.processes.is_main and not (target / "cost.json").exists():
                write_evaluation(target, eval_set.name, run, evaluator.measure(run, queries), name)
                write_json(target / "cost.json", {**cost, "machine": machine()})


def _evaluate_student(
    experiment: Experiment, eval_set: EvalSet, folder: RunFolder, student: Model, point: GridPoint
) -> None:
    target = folder.eval / eval_set.name
    if experiment.processes.broadcast((target / "cost.json").exists()):
        return
    from distilkit.models.load import load_ranker

    materials, evaluator = eval_set.materials, eval_set.evaluator
    qrels = materials.qrels(eval_set.split, evaluator.settings.queries)
    queries = materials.query_set(eval_set.split, qrels, evaluator.depth)
    last = point.jobs[-1]
    tokens = materials.tokens_for(last.tokenizer, last.architecture, last.options)
    ranker = load_ranker(student.folder).to(experiment.processes.device)
    run = evaluator.rerank(ranker, tokens, queries, f"re-rank {eval_set.name}")
    if not experiment.processes.is_main:
        return
    evaluation = evaluator.measure(run, queries)
    if evaluation.missing:
        experiment.reporter.say(f"{len(evaluation.missing)} judged queries have no candidates and score 0")
    write_evaluation(target, eval_set.name, run, evaluation, experiment.recipe.name)
    write_qrels(target / "qrels.tsv", qrels)
    cost = evaluator.cost(ranker, tokens, queries)
    write_json(target / "cost.json", {**cost, **_spent(experiment, point), "machine": machine()})


def _spent(experiment: Experiment, point: GridPoint) -> dict[str, Any]:
    """Return the seconds of training: by stage, of the teacher, and of grid points that were not chosen."""

    def seconds(job: Any) -> float:
        return float(experiment.artifacts.facts(experiment.stages.artifact(job))["seconds"])

    own = {experiment.stages.artifact(job).key for job in point.jobs}
    trials = {experiment.stages.artifact(job).key: job for other in experiment.grid() for job in other.jobs}
    return {
        "training_seconds": {job.stage.name: seconds(job) for job in point.jobs},
        "teacher_seconds": sum(seconds(job) for job in experiment.teacher_jobs()),
        "grid_seconds": round(sum(seconds(job) for key, job in trials.items() if key not in own), 3),
    }

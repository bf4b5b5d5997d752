"""What a run does inside its folder: teacher, references, student, evaluation."""

import shutil
from typing import Any

from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels
from distilkit.files import atomic_folder, read_json, write_json
from distilkit.runs.experiment import EvalSet, Experiment, GridPoint
from distilkit.runs.folder import RunFolder, machine
from distilkit.runs.references import References
from distilkit.runs.reporter import Reporter
from distilkit.runs.stages import Model


def train_and_evaluate(experiment: Experiment, folder: RunFolder, reporter: Reporter) -> None:
    """Do everything that is not done yet; raises RunFailed, and Stopped after a checkpoint."""
    reporter.prefix = "teacher: "
    teacher = experiment.teacher(folder.checkpoints)
    twin = read_json(folder.run_json)["twin_of"] if experiment.processes.is_main else None
    if not experiment.processes.broadcast(twin):
        _evaluate_references(experiment, folder, teacher)
    reporter.prefix = "label-only: " if experiment.recipe.name.endswith("-label_only") else "student: "
    point, student = _train_student(experiment, folder, reporter)
    experiment.processes.on_main(lambda: _keep_model(student, folder))
    for eval_set in experiment.sets:
        _evaluate_student(experiment, eval_set, folder, student, point)
    if experiment.processes.is_main and folder.checkpoints.exists():
        shutil.rmtree(folder.checkpoints)


def _train_student(experiment: Experiment, folder: RunFolder, reporter: Reporter) -> tuple[GridPoint, Model]:
    """Train every grid point and return the one with the best validation measure, the first of equals."""
    points = experiment.grid()
    results: list[tuple[float, GridPoint, Model]] = []
    tried: list[dict[str, Any]] = []
    metric = experiment.stages.metric(points[0].jobs[-1])
    prefix = reporter.prefix
    for number, point in enumerate(points, 1):
        if point.values:
            reporter.prefix = f"{prefix.removesuffix(': ')} {number}/{len(points)}, {point.label}: "
            reporter.trial = point.label
        model = experiment.base
        for job in point.jobs:
            model = experiment.stages.get(job, folder.checkpoints)
        validation = experiment.stages.validation(point.jobs[-1])
        tried.append({"values": point.values, "validation": validation})
        results.append((validation[metric], point, model))
    reporter.prefix, reporter.trial = prefix, ""
    best = max(results, key=lambda result: result[0])
    if len(points) > 1 and experiment.processes.is_main:
        write_json(folder.path / "grid.json", {"measure": metric, "tried": tried, "chosen": best[1].values})
    return best[1], best[2]


def _keep_model(student: Model, folder: RunFolder) -> None:
    if not folder.model.exists():
        with atomic_folder(folder.model) as temporary:
            shutil.copytree(student.folder, temporary, dirs_exist_ok=True)


def _evaluate_references(experiment: Experiment, folder: RunFolder, teacher: Model) -> None:
    for eval_set in experiment.sets:
        materials, evaluator = eval_set.materials, eval_set.evaluator
        qrels = materials.qrels(eval_set.split, evaluator.settings.queries)
        queries = materials.query_set(eval_set.split, qrels, evaluator.depth)
        references = References(experiment.artifacts, evaluator, experiment.base.folder)
        systems = {
            "bm25": references.first_stage(queries),
            "teacher": references.model("teacher", teacher, materials, queries),
        }
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
    from distilkit.models.load import load_cat

    materials, evaluator = eval_set.materials, eval_set.evaluator
    qrels = materials.qrels(eval_set.split, evaluator.settings.queries)
    queries = materials.query_set(eval_set.split, qrels, evaluator.depth)
    tokens = materials.tokens(experiment.base.folder)
    ranker = load_cat(student.folder, require_head=True).to(experiment.processes.device)
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

    others = [job for other in experiment.grid() if other.values != point.values for job in other.jobs]
    return {
        "training_seconds": {job.stage.name: seconds(job) for job in point.jobs},
        "teacher_seconds": sum(seconds(job) for job in experiment.teacher_jobs()),
        "grid_seconds": round(sum(seconds(job) for job in others), 3),
    }

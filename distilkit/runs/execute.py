"""Runs a recipe from collection to evaluated student, resuming what was left."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from distilkit.errors import RunFailed, Stopped, UserError
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels
from distilkit.files import atomic_folder, read_json, write_json
from distilkit.recipe import Source
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.checks import check
from distilkit.runs.experiment import EvalSet, Experiment, GridPoint
from distilkit.runs.folder import RunFolder, machine, provenance
from distilkit.runs.lock import Lock
from distilkit.runs.reporter import Reporter
from distilkit.runs.stages import Model
from distilkit.runs.state import read_record, read_status
from distilkit.runs.work import remaining_work
from distilkit.settings import Recipe
from distilkit.strategies import strategy_from_table, strategy_name
from distilkit.strategies.stage import UNSEEN

# Keys that may differ when a run is resumed, as no result depends on them.
COSMETIC = {"description", *(f"{section}.{key}" for section in ("train", "teacher.train") for key in UNSEEN)}


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


def run(request: Request, reporter: Reporter, processes: Any) -> RunFolder:
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
        processes.on_main(lambda: _refuse_foreign_twin(experiment, request.runs_dir))
        with _working(experiment, folder, reporter, overrides=request.source.overrides):
            reporter.whole.start(_whole_work(experiment, request.runs_dir))
            _train_and_evaluate(experiment, folder, reporter)
            _run_twin(experiment, request.runs_dir)
    return folder


def _whole_work(experiment: Experiment, runs_dir: Path) -> float:
    work = remaining_work(experiment, RunFolder(runs_dir / experiment.recipe.name), references=True)
    if (twin := experiment.twin()) is None:
        return work
    other = Experiment(twin, experiment.artifacts, experiment.processes)
    return work + remaining_work(other, RunFolder(runs_dir / twin.name), references=False)


def _run_twin(experiment: Experiment, runs_dir: Path) -> None:
    """Train and evaluate the label-only twin in a folder of its own, unless it is finished."""
    recipe, processes = experiment.twin(), experiment.processes
    if recipe is None or processes.broadcast(is_done(folder := RunFolder(runs_dir / recipe.name))):
        return
    reporter = experiment.reporter.child(folder)
    twin = Experiment(recipe, Artifacts(experiment.artifacts.root, processes, reporter), processes)
    with _working(twin, folder, reporter, twin_of=experiment.recipe.name):
        _train_and_evaluate(twin, folder, reporter)


def is_done(folder: RunFolder) -> bool:
    """Return whether a run, its twin included, is finished."""
    return bool(read_status(folder).get("state") == "done")


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Return every key of a recipe with its value, the strategy's defaults included."""
    from distilkit.strategies import strategy_table

    table = recipe.model_dump(mode="json", by_alias=True)
    strategy = strategy_from_table(recipe.strategy)
    table["strategy"] = {"name": recipe.strategy["name"], **strategy_table(strategy)}
    return table


def _refuse_clash(request: Request) -> None:
    folder = request.folder
    if not folder.exists():
        return
    if not request.resume:
        raise UserError(f"{folder.path} exists; continue it with --resume auto, or choose another name with --name")
    _refuse_change(folder, request.recipe)


def _refuse_foreign_twin(experiment: Experiment, runs_dir: Path) -> None:
    """A folder under the twin's name must be this run's twin; its results would be taken for the twin's otherwise."""
    recipe, name = experiment.twin(), experiment.recipe.name
    if recipe is None or not (folder := RunFolder(runs_dir / recipe.name)).exists():
        return
    if read_record(folder).get("twin_of") != name:
        raise UserError(f"{folder.path} exists and is not the twin of {name}; choose another name with --name")
    _refuse_change(folder, recipe)


def _refuse_change(folder: RunFolder, recipe: Recipe) -> None:
    stored, asked = _flat(read_record(folder)["resolved"]), _flat(resolved(recipe))
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


@contextmanager
def _working(
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
            raise UserError(f"{folder.path} is being worked on by another process")
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


def _train_and_evaluate(experiment: Experiment, folder: RunFolder, reporter: Reporter) -> None:
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
            reporter.prefix = f"{prefix}{point.label} ({number} of {len(points)}): "
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
        references = type(experiment.references)(experiment.artifacts, evaluator, experiment.base.folder)
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
        if main:
            raise
        raise SystemExit(exit_code(error)) from None  # all processes fail alike, and one of them says it
    except Exception as error:
        if _file_problem(error):
            raise RunFailed(f"{error}; nothing that was finished is lost: go on with --resume auto") from error
        if processes.count > 1 and "gloo" in str(error):
            raise RunFailed(f"process {processes.rank} has lost another one that failed or was killed") from error
        raise
    return folder if main else None


def exit_code(error: BaseException) -> int:
    """Return what a command that ends like this exits with."""
    return 130 if isinstance(error, (Stopped, KeyboardInterrupt)) else 2 if isinstance(error, UserError) else 1


def _file_problem(error: Exception) -> bool:
    """Tell whether a file could not be read or written; tokenizers says so with an exception of no kind at all."""
    return isinstance(error, (OSError, SafetensorError)) or type(error) is Exception

"""What a run leaves in its folder: model, references and results, each with a manifest of what it was made of."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distilkit.data.collection import Run
from distilkit.evaluation.results import write_evaluation
from distilkit.evaluation.trec import write_qrels
from distilkit.files import atomic_folder, content_key, link_weights, read_json, write_json
from distilkit.manifest import MANIFEST, damage, is_made_of, read_manifest, write_made_of
from distilkit.model_card import CARD
from distilkit.pipeline.budget import spent, stages_before, teacher_stages
from distilkit.pipeline.content import content_of_set
from distilkit.pipeline.evaluation import FIRST_STAGE_COST, EvaluationSet, RankerCost
from distilkit.pipeline.ir_metadata import write_ir_metadata
from distilkit.pipeline.pipeline import GridPoint, Pipeline
from distilkit.pipeline.trained_stage import TrainedStage
from distilkit.pipeline.workspace import Workspace
from distilkit.run_folders.folder import RunFolder, machine
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.results import StoredResults


def keep_model(student: TrainedStage, workspace: Workspace, folder: RunFolder) -> None:
    """Copy the trained student into the run's folder."""
    source, made_of = workspace.value(student), {"stage": student.key}

    def copy() -> None:
        if _is_whole(folder.model, made_of, workspace):
            return
        with atomic_folder(folder.model) as temporary:
            shutil.copytree(source, temporary, copy_function=link_weights, dirs_exist_ok=True)
            # The card is people's to edit, and is written again as results are known: it is not listed.
            write_made_of(temporary, made_of, without=(CARD,))

    workspace.processes.on_main(copy)


def keep_first_stage(pipeline: Pipeline, one: EvaluationSet, folder: RunFolder) -> None:
    """Write what the first stage reaches on a query set into the run's folder."""
    candidates = one.queries.candidates
    run = pipeline.workspace.value(candidates).run(one.data.collection)
    _keep_reference(pipeline, one, folder, "bm25", run, {**FIRST_STAGE_COST, "machine": machine()}, [candidates.key])


def keep_teacher(pipeline: Pipeline, one: EvaluationSet, folder: RunFolder) -> None:
    """Copy what the teacher reaches on a query set into the run's folder; nothing where only its scores are there."""
    workspace, teacher = pipeline.workspace, pipeline.teacher_ranking(one)
    if teacher is None:
        return
    run, cost = teacher.run(workspace), teacher.cost(workspace)
    cost = {**cost, "budget": spent(pipeline, teacher_stages(pipeline))}
    rankings = [*(ranking.key for ranking in teacher.rankings), teacher.combine]
    _keep_reference(pipeline, one, folder, "teacher", run, cost, rankings)


def _keep_reference(
    pipeline: Pipeline,
    one: EvaluationSet,
    folder: RunFolder,
    name: str,
    run: Run,
    cost: dict[str, Any],
    rankings: Sequence[str],
) -> None:
    results, made_of = _results(folder, one).reference(name), _made_of(pipeline, one, rankings)

    def write() -> None:
        write_evaluation(results.path, one.name, run, one.measure(run), name)
        write_json(results.cost_json, cost)
        _write_metadata(results, folder, one, name)

    if pipeline.workspace.processes.is_main:
        if not _is_whole(results.path, made_of, pipeline.workspace):
            _write(results.path, made_of, write, results.files[:-1])
        _show(pipeline, one, name, results)


def _show(pipeline: Pipeline, one: EvaluationSet, system: str, results: StoredResults) -> None:
    """Say what a system reaches, now or before."""
    measures = read_json(results.path / "measures.json")["measures"]
    pipeline.workspace.progress.row(system, measures, one.name if len(pipeline.sets) > 1 else "")


def keep_results(pipeline: Pipeline, one: EvaluationSet, folder: RunFolder, point: GridPoint) -> None:
    """Measure the student on a query set, and what it costs."""
    workspace, ranking = pipeline.workspace, pipeline.student_ranking(point, one)
    results, made_of = _results(folder, one), _made_of(pipeline, one, [ranking.key])
    if workspace.processes.on_main(lambda: _is_whole(results.path, made_of, workspace)):
        if workspace.processes.is_main:
            _show(pipeline, one, pipeline.recipe.name, results)
        return
    run, cost = workspace.value(ranking), workspace.value(RankerCost(ranking))

    def write() -> None:
        evaluation = one.measure(run)
        if evaluation.missing:
            workspace.progress.say(f"{len(evaluation.missing)} judged queries have no candidates and count as 0")
        write_evaluation(results.path, one.name, run, evaluation, pipeline.recipe.name)
        write_qrels(results.qrels, one.queries.qrels)
        write_json(results.cost_json, {**cost, **_spent(pipeline, point)})
        _write_metadata(results, folder, one, pipeline.recipe.name)

    if workspace.processes.is_main:
        _write(results.path, made_of, write, results.files)
        _show(pipeline, one, pipeline.recipe.name, results)


def _write_metadata(results: StoredResults, folder: RunFolder, one: EvaluationSet, tag: str) -> None:
    write_ir_metadata(results.ir_metadata, StoredRun(folder.path).record, tag, one.split, one.measures)


def _results(folder: RunFolder, one: EvaluationSet) -> StoredResults:
    return StoredResults(folder.eval / one.name, folder.eval / one.name / "qrels.tsv")


def _made_of(pipeline: Pipeline, one: EvaluationSet, rankings: Sequence[str]) -> dict[str, Any]:
    """Return what results depend on: what the run read, texts and judgements, candidates, rankings and measures."""
    return {
        "content": content_key(pipeline.content),
        **content_of_set(one),
        "candidates": pipeline.workspace.value(one.queries.candidates).content_hash(),
        "rankings": list(rankings),
        "measures": one.measures,
    }


def _is_whole(folder: Path, made_of: dict[str, Any], workspace: Workspace) -> bool:
    """Return whether results are there, whole and made of this; what is not whole is named."""
    found = damage(folder)
    # The folder of references is there before the results beside it.
    if found is not None and folder.exists() and any(path.is_file() for path in folder.iterdir()):
        workspace.progress.say(f"{folder} is incomplete or damaged: {found}; it is made again")
    return found is None and is_made_of(folder, made_of)


def state_latency(results: StoredResults, stated: dict[str, Any]) -> None:
    """Enter what was timed of a system into its cost.json, and this into the manifest of its results."""
    listed = read_manifest(results.path)
    cost = {**read_json(results.cost_json), **stated}
    if not listed:
        write_json(results.cost_json, cost)
        return
    files = [results.path / name for name in listed.get("files", {})]
    _write(results.path, results.made_of(), lambda: write_json(results.cost_json, cost), files)


def _write(folder: Path, made_of: dict[str, Any], write: Callable[[], None], files: Sequence[Path]) -> None:
    """Write results and then their manifest, without which they are not whole."""
    (folder / MANIFEST).unlink(missing_ok=True)
    write()
    write_made_of(folder, made_of, [path.name for path in files])


def _spent(pipeline: Pipeline, point: GridPoint) -> dict[str, Any]:
    """Return the seconds of training, by stage, of the teacher, and of grid points that were not chosen; its budget."""

    def seconds(stage: TrainedStage) -> float:
        return float(pipeline.workspace.facts(stage)["seconds"])

    tried = dict.fromkeys(stage for other in pipeline.grid() for stage in other.stages)
    trials = [stage for stage in tried if stage not in point.stages]
    return {
        "training_seconds": {stage.stage.name: seconds(stage) for stage in point.stages},
        "teacher_seconds": sum(seconds(stage) for stage in stages_before(pipeline)),
        "grid_seconds": round(sum(seconds(stage) for stage in trials), 3),
        "budget": spent(pipeline, point.stages, trials),
    }

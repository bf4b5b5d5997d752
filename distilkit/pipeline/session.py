"""A run's folder while it is worked on: its lock, its record, its life signs, and how it ended."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distilkit.errors import Busy, Stopped, UserError
from distilkit.files import remove_leftovers, set_aside, write_json
from distilkit.manifest import sealed
from distilkit.pipeline.graph import Artifact, Node, every
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.reporter import Reporter
from distilkit.pipeline.request import Request
from distilkit.pipeline.twin import has_twin
from distilkit.recipe import RecipeSource, chosen, resolved
from distilkit.run_folders.folder import RunFolder, provenance
from distilkit.run_folders.lock import Lock, is_held
from distilkit.run_folders.names import twin_name
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import flat
from distilkit.settings import Recipe
from distilkit.strategies import strategy_from_table, strategy_name
from distilkit.strategies.stage import WITHOUT_EFFECT

# Number formats by their short names, as sentences have them.
NUMBERS = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
# Keys that may differ when a run is resumed, as no result depends on them.
CUTS = ("per_device_train_batch_size", "gradient_accumulation_steps")
COSMETIC = {
    "description",
    "license",
    "report.note",
    "report_to",
    "evaluate.per_device_eval_batch_size",
    *(f"{section}.{key}" for section in ("train", "teacher.train") for key in WITHOUT_EFFECT),
}


@contextmanager
def working(pipeline: Pipeline, folder: RunFolder, reporter: Reporter, source: RecipeSource) -> Iterator[None]:
    """Hold a run's folder for a block: its lock, its record, its life signs, and how it ended."""
    processes = pipeline.workspace.processes
    lock, precision, content = Lock(folder.lock), _precision(pipeline), pipeline.content

    def claim() -> tuple[bool, bool]:
        folder.refuse_links()
        folder.refuse_foreign()
        new, made = folder.is_empty(), not folder.path.exists()
        if not lock.acquire():
            raise Busy(f"{folder.path} is being worked on by another process")
        folder.stop.unlink(missing_ok=True)
        for path in (folder.model, folder.checkpoints, folder.status_json):
            remove_leftovers(path)
        if lost := folder.mend_events():
            folder.append_log(f"{folder.events}: the last {lost} bytes are not whole events, and are dropped")
        if not folder.exists():
            folder.create({**_record(pipeline, source), "precision": precision, "content": content})
        state_needs(pipeline, folder)
        return new, made

    new, made = processes.on_main(claim)
    if processes.is_main:
        reporter.folder = folder
        reporter.status("running", phase="starting")
        _say_precision(pipeline, precision, reporter)
    try:
        yield
        reporter.status("done", phase="done", exit={"code": 0})
    except BaseException as error:
        if processes.is_main:
            _record_end(folder, reporter, error, new, made)
        raise
    finally:
        lock.release()


def state_needs(pipeline: Pipeline, folder: RunFolder, more: Sequence[Node[Any]] = ()) -> None:
    """Name the artifacts that a run is made of in its folder, for `distilkit clean`; those named before stay."""
    nodes = every([*pipeline.targets(), *pipeline.to_count(), *more])
    found = {node.address for node in nodes if isinstance(node, Artifact)}
    try:
        before = StoredRun(folder.path).needs() or frozenset()
    except UserError:  # damaged, and written anew
        before = frozenset()
    if not (all_of := found | pipeline.workspace.used) <= before:
        write_json(folder.artifacts, sealed({"artifacts": sorted(all_of | before)}))


def _record(pipeline: Pipeline, source: RecipeSource) -> dict[str, Any]:
    recipe, collection = pipeline.recipe, pipeline.data.collection
    student = recipe.student
    start = "" if student.embeddings == "drawn" else f":{student.embeddings}"
    vocabulary = "" if student.vocabulary == "whole" else ":cut"
    return {
        "name": recipe.name,
        "strategy": strategy_name(strategy_from_table(recipe.strategy)),
        "student": f"{student.architecture}:{student.shape or student.start}{start}{vocabulary}",
        "seed": recipe.seed,
        "twin": twin_name(recipe.name) if has_twin(recipe) else None,
        "twin_of": pipeline.twin_of,
        "overrides": list(source.overrides),
        "plugins": [one.to_json() for one in source.plugins],
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "resolved": resolved(recipe),
        "data": {
            "name": collection.name,
            "fingerprint": collection.fingerprint,
            "info": collection.info,
            "notes": pipeline.notes(),
        },
        **provenance(),
    }


def _precision(pipeline: Pipeline) -> dict[str, Any]:
    """Return what run.json says of the precision: of the student's training, of evaluation, and what `auto` came to."""
    workspace, train = pipeline.workspace, pipeline.recipe.train
    training = workspace.precision(train.bf16, train.fp16)
    auto = workspace.auto.to_json() if workspace.auto else None
    return {"training": training, "evaluation": pipeline.scorer.precision, "auto": auto}


def _say_precision(pipeline: Pipeline, precision: dict[str, Any], reporter: Reporter) -> None:
    training, evaluation = (NUMBERS.get(name, name) for name in (precision["training"], precision["evaluation"]))
    text = f"precision: training in {training}, evaluation in {evaluation}"
    if (auto := pipeline.workspace.auto) is not None:
        text = f'{text}; bf16 = "auto" chose {NUMBERS.get(auto.precision, auto.precision)}, since {auto.why}'
    reporter.say(text, quiet=pipeline.twin_of is not None)


def _record_end(folder: RunFolder, reporter: Reporter, error: BaseException, new: bool, made: bool) -> None:
    """Write how a run ended; `new` says that nothing was there before, `made` that its folder was not either."""
    if isinstance(error, UserError) and new and not folder.model.exists():
        reporter.folder = None
        with suppress(OSError):
            folder.remove_own(whole=made)  # nothing was done, so the name stays free
        return
    code = exit_code(error)
    stopped = code == 130
    try:
        reporter.status("stopped" if stopped else "crashed", exit={"code": code, "error": str(error)})
        reporter.say(str(error) if stopped else f"failed: {error}", quiet=True)
    except OSError:
        pass  # a full disk: what stopped the run is said on the screen


def exit_code(error: BaseException) -> int:
    """Return what a command that ends like this exits with."""
    return 130 if isinstance(error, (Stopped, KeyboardInterrupt)) else 2 if isinstance(error, UserError) else 1


def is_done(folder: RunFolder) -> bool:
    """Return whether a run, its twin included, is finished, and all that it left is whole."""
    run = StoredRun(folder.path)
    if run.status().state != "done" or run.damage() is not None:
        return False
    twin = run.twin()
    return twin is None or twin.damage() is None


def refuse_clash(request: Request) -> None:
    """Refuse a name that is taken, but for going on with the same recipe."""
    folder = request.folder
    refuse_outside(folder, request.runs_dir)
    if not folder.exists():
        folder.refuse_foreign()
        return
    if not request.resume:
        raise UserError(f"{folder.path} exists; continue it with --resume auto, or choose another name with --name")
    _set_damaged_record_aside(folder)
    if folder.exists():
        refuse_change(folder, request.recipe)


def _set_damaged_record_aside(folder: RunFolder) -> None:
    """Make room for a new record where run.json is damaged: results say for themselves what they were made of."""
    try:
        _ = StoredRun(folder.path).record
    except UserError as error:
        if is_held(folder.lock):
            raise
        folder.append_log(f"{error}; it is set aside as {set_aside(folder.run_json).name}")


def refuse_outside(folder: RunFolder, runs_dir: Path) -> None:
    """Refuse to work in a folder that a symbolic link moves out of the runs folder."""
    if not (found := folder.path.resolve()).is_relative_to(runs_dir.resolve()):
        raise UserError(
            f"{folder.path} leads out of {runs_dir} by a symbolic link, to {found}; name its own --runs-dir"
        )


def refuse_foreign_twin(request: Request) -> None:
    """Refuse a folder under the twin's name that is not this run's twin; its results would be taken for the twin's."""
    if not has_twin(request.recipe):
        return
    folder = request.twin_folder
    if not folder.exists():
        folder.refuse_foreign()
        return
    if request.resume and request.folder.path.exists():
        _set_damaged_record_aside(folder)
        if not folder.exists():
            return
    if StoredRun(folder.path).record.twin_of != request.recipe.name:
        raise UserError(
            f"{folder.path} exists and is not the twin of {request.recipe.name}; choose another name with --name"
        )


def _compared(table: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved recipe flat, with effective batches in place of the cuts that they are made of."""
    found = flat(table)
    for section in ("train", "teacher.train"):
        cuts = [found.get(f"{section}.{key}") for key in CUTS]
        if all(isinstance(cut, int) for cut in cuts):
            for key in CUTS:
                del found[f"{section}.{key}"]
            found[f"{section}.{' * '.join(CUTS)}"] = math.prod(cuts)
    return found


def refuse_change(folder: RunFolder, recipe: Recipe) -> None:
    """Refuse to go on with another recipe than the run was started with.

    A run of an earlier version lacks the keys that are newer than it: it was trained as their defaults say.
    """
    stored, asked = _compared(StoredRun(folder.path).record.resolved), _compared(resolved(recipe))
    known = {*stored, *chosen(recipe)} - COSMETIC
    changed = sorted(key for key in known if stored.get(key) != asked.get(key))
    if changed:
        key = changed[0]
        raise UserError(
            f"{folder.path} was started with {key} = {stored.get(key)!r}, not {asked.get(key)!r}; "
            "resume it with the same recipe, or choose another name with --name"
        )

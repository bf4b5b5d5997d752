"""What a run reads from outside, by its content: recorded when it is started, and the same when it is resumed."""

from typing import TYPE_CHECKING, Any

from distilkit.errors import UserError
from distilkit.evaluation.trec import qrels_hash
from distilkit.pipeline.graph import every
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import JsonObject, as_table

if TYPE_CHECKING:
    from distilkit.pipeline.evaluation import EvaluationSet
    from distilkit.pipeline.pipeline import Pipeline

_WORDS = {"qrels": "judgements of the split", "candidates": "candidates of the split"}


def content_of(pipeline: "Pipeline") -> JsonObject:
    """Return the hashes of collection, query sets, models and files, and what else every result depends on.

    `data` has the parts of the collection, `sets` those of each query set, `read` every model and file by its name;
    `teacher` and `references` are keys, which change with the code of distilkit too.
    """
    nodes = [*every(pipeline.targets()), *pipeline.checkpoints()]
    return {
        "fingerprint": pipeline.data.collection.fingerprint,
        "data": dict(pipeline.data.collection.hashes),
        "sets": {one.name: content_of_set(one) for one in pipeline.sets},
        "read": {name: found for node in nodes for name, found in node.reads.items()},
        "processes": pipeline.workspace.processes.count,
        "teacher": pipeline.teacher.identity,
        "references": {one.name: _references(pipeline, one) for one in pipeline.sets},
    }


def content_of_set(one: "EvaluationSet") -> dict[str, str]:
    """Return the hashes of a query set's texts and judgements."""
    hashes = one.data.collection.hashes
    return {**{name: hashes[name] for name in ("passages", "queries")}, "judgements": qrels_hash(one.queries.qrels)}


def _references(pipeline: "Pipeline", one: "EvaluationSet") -> dict[str, Any]:
    teacher = pipeline.teacher_ranking(one)
    return {"bm25": one.queries.candidates.key, "teacher": [found.key for found in teacher.rankings] if teacher else []}


def refuse_other_content(folder: RunFolder, content: JsonObject) -> None:
    """Refuse to go on with other data, judgements, models, files or processes than a run was started with.

    An earlier version recorded the fingerprint of the collection alone; its results have no keys and are made anew.
    """
    if not folder.exists():
        return
    record = StoredRun(folder.path).record
    stored = record.content
    if not stored:
        if record.data.get("fingerprint") != content["fingerprint"]:
            raise _changed_since(folder, ["data"])
        return
    before, now = stored.get("processes"), content["processes"]
    if before != now:
        raise UserError(
            f"{folder.path} was started with {_processes(before)}, not {_processes(now)}, whose steps would read other "
            "batches; resume it with as many, or choose another name with --name"
        )
    if changed := _changed(stored, content):
        raise _changed_since(folder, changed)


def _changed_since(folder: RunFolder, changed: list[str]) -> UserError:
    return UserError(
        f"{folder.path} was started with other {' and other '.join(changed[:3])} than there are now; put them back to "
        "resume it, or choose another name with --name"
    )


def _changed(stored: JsonObject, content: JsonObject) -> list[str]:
    """Return in words what differs between two contents."""
    found = [_of_data(key) for key in _differing(stored.get("data"), content["data"])]
    if not found:  # a query set may have a collection of its own
        sets = as_table(stored.get("sets"))
        for name, parts in content["sets"].items():
            found += [f"{key} of the query set {name}" for key in _differing(sets.get(name), parts)]
    return found + [f"content of {name}" for name in _differing(stored.get("read"), content["read"])]


def _differing(stored: object, content: JsonObject) -> list[str]:
    before = as_table(stored)
    return [key for key in sorted({*before, *content}) if before.get(key) != content.get(key)]


def _of_data(key: str) -> str:
    kind, _, split = key.partition("/")
    return f"{_WORDS[kind]} {split}" if kind in _WORDS else kind


def _processes(count: object) -> str:
    return "1 process" if count == 1 else f"{count} processes"

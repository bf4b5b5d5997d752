"""The model card of a run: what its folder says of how the student was made, what it reaches, and what it costs."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distilkit.comparison.seeded_test import t_test
from distilkit.errors import UserError
from distilkit.files import write_text
from distilkit.manifest import MANIFEST, damage, read_manifest
from distilkit.model_card import CARD, UNKNOWN, ModelCard, table
from distilkit.models.references import KNOWN_PACKAGES, PREFIX
from distilkit.models.shape import STARTS
from distilkit.pipeline.ir_metadata import without_place
from distilkit.problems import to_toml
from distilkit.run_folders.folder import RunFolder
from distilkit.run_folders.read import StoredRun, is_run
from distilkit.run_folders.record import JsonObject, as_table
from distilkit.run_folders.results import StoredResults

LEVEL = 0.95
"""The confidence of the intervals of means."""
SYSTEMS = {"teacher": "teacher", "bm25": "first stage"}
ON_HUB = r"[\w-][\w.-]*(/[\w.-]+)?"
"""What the hub takes for the name of a data set."""


def write_card(folder: RunFolder) -> None:
    """Write the card into a run's model, where the model is whole and the card says something else.

    A card that the manifest lists, as of an earlier version, stays as it is: another one would count as damage.

    Weights, which may be hard links, stay as they are: the card is a file of the run's own.
    """
    if not (folder.model / MANIFEST).is_file() or damage(folder.model, content=False) is not None:
        return
    card = ModelCard.read(folder.model)
    if card is None or CARD in as_table(read_manifest(folder.model).get("files")):
        return
    text = card_of(StoredRun(folder.path), card).to_text()
    if text != (folder.model / CARD).read_text(encoding="utf-8"):
        write_text(folder.model / CARD, text)


def card_in(folder: Path) -> ModelCard | None:
    """Return the card in a model's folder, with what its run tells by now where it is a run's; None without one."""
    card = ModelCard.read(folder)
    if card is None or not is_run(folder.parent):
        return card
    try:
        return card_of(StoredRun(folder.parent), card)
    except UserError:  # a damaged record: the model may be whole all the same
        return card


def card_of(run: StoredRun, own: ModelCard) -> ModelCard:
    """Return the card of a run's student, whose own part is given."""
    record = run.record
    results = {name: found for name, found in run.all_results().items() if found.measures() is not None}
    sections = [_making(run), *_results(run, results), *_cost(results), _limits(run), _recipe(record.recipe)]
    front = dict(own.front) | {"license": record.resolved.get("license") or own.front.get("license", UNKNOWN)}
    if base := base_model(record.resolved):
        front["base_model"] = base
    if re.fullmatch(ON_HUB, data_set := _data_set(record.resolved, record.data)):
        front["datasets"] = [data_set]
    if results:
        front["metrics"] = list(dict.fromkeys(name for one in results.values() for name in _means(one)))
        front["model-index"] = [{"name": record.name, "results": [*_index(run, results)]}]
    return replace(own, front=front, title=record.name, sections="\n\n".join(sections))


def base_model(resolved: JsonObject) -> str | None:
    """Return the hub id of the model that the student's weights come from; None for random ones and for folders."""
    student, teacher = as_table(resolved.get("student")), as_table(resolved.get("teacher"))
    start = str(student.get("start"))
    reference = start if start not in STARTS else str(student.get("source") or teacher.get("model"))
    if start == "random":
        return None
    if reference.startswith(PREFIX):
        known = KNOWN_PACKAGES.get(reference.removeprefix(PREFIX))
        return known.hub_id if known else None
    return reference if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", reference) and not Path(reference).exists() else None


def _making(run: StoredRun) -> str:
    record, resolved = run.record, run.record.resolved
    teacher, data = as_table(resolved.get("teacher")), record.data
    models = teacher.get("models") or [teacher.get("model")]
    told = ", ".join(without_place(str(one)) for one in models)
    learnt = "none: it learnt from labels alone" if record.twin_of or _labels_alone(record.strategy) else told
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    rows = {
        "recipe": str(resolved.get("name")) + (f" (the label-only twin of {record.twin_of})" if record.twin_of else ""),
        "strategy": f"`{record.strategy}`",
        "student": f"`{record.student}`",
        "teacher": learnt,
        "fine-tuning of the teacher": teacher.get("fine_tune") if learnt == told else None,
        "collection": f"{data.get('name')}, {_splits(data)}",
        "fingerprint of the collection": f"`{data.get('fingerprint')}`",
        "seed": record.seed,
        "precision of training": as_table(record.raw.get("precision")).get("training"),
        "made with": versions,
    }
    return _section("How it was made", table(["", ""], [(key, value) for key, value in rows.items() if value]))


def _labels_alone(strategy: str) -> bool:
    return strategy.partition("(")[0] == "fine_tune"


def _splits(data: JsonObject) -> str:
    info = as_table(data.get("info"))
    splits = ", ".join(f"{name} {as_table(one).get('queries')}" for name, one in as_table(info.get("splits")).items())
    return f"{info.get('passages')} passages, judged queries: {splits}"


def _results(run: StoredRun, results: dict[str, StoredResults]) -> Iterator[str]:
    evaluate = as_table(run.record.resolved.get("evaluate"))
    for name, found in results.items():
        systems = {"this model": found} | {
            SYSTEMS.get(key, key): one for key, one in found.references().items() if one.measures() is not None
        }
        twin = run.twin()
        if twin is not None and name in twin.evaluated_sets():
            systems["label-only twin"] = twin.results(name)
        measures = list(_means(found))
        rows = [[system, *(_interval(one, measure) for measure in measures)] for system, one in systems.items()]
        means, depth = found.measures(), as_table(as_table(evaluate.get("sets")).get(name)).get("rerank_depth")
        told = (
            f"Means over the {means.n if means else 0} judged queries of the set `{name}`, in brackets the "
            f"{100 * LEVEL:.0f} % interval of each mean. Each system re-ranks the first "
            f"{depth or evaluate.get('rerank_depth')} candidates of the first stage. Whether a difference is real is "
            f"not read off these intervals: `distilkit compare` tests it over the same queries."
        )
        yield _section(f"Results: {name}", [*table(["system", *measures], rows), "", told])


def _means(results: StoredResults) -> dict[str, float]:
    found = results.measures()
    return {} if found is None else found.measures


def _bounds(results: StoredResults, measure: str) -> tuple[float, float] | None:
    values = results.per_query().get(measure, {})
    if len(values) < 2:
        return None
    found = t_test(np.array([list(values.values())]), level=LEVEL)
    return None if found.ci_low is None or found.ci_high is None else (found.ci_low, found.ci_high)


def _interval(results: StoredResults, measure: str) -> str:
    value, bounds = _means(results).get(measure), _bounds(results, measure)
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" [{bounds[0]:.4f}, {bounds[1]:.4f}]" if bounds else "")


def _cost(results: dict[str, StoredResults]) -> Iterator[str]:
    found = next((cost for one in results.values() if (cost := one.cost()).raw), None)
    if found is None:
        return
    raw = found.raw
    machine, latency = as_table(raw.get("machine")), as_table(raw.get("ms_per_query"))
    stages = as_table(raw.get("training_seconds"))
    where = f"{machine.get('cpu')}, {machine.get('cores')} cores"
    rows = {
        "parameters": _count(raw.get("parameters")),
        "multiply-accumulates a pair": f"{_count(raw.get('macs_per_pair'))} at {raw.get('length')} tokens",
        "milliseconds a query": ", ".join(f"{name} {value:.1f}" for name, value in latency.items() if value is not None)
        + f", of {raw.get('depth')} passages each",
        "bytes a document": raw.get("bytes_per_document"),
        "seconds of training": ", ".join(f"{name} {seconds:.0f}" for name, seconds in stages.items()),
        "seconds of the teacher's training": f"{raw.get('teacher_seconds', 0):.0f}",
        "machine": where,
    }
    yield _section("Cost", table(["", ""], [(key, value) for key, value in rows.items() if value is not None]))


def _count(value: object) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "not known"


def _limits(run: StoredRun) -> str:
    data = as_table(run.record.resolved.get("data"))
    read = (
        f"{data.get('max_length')} tokens of query and passage together"
        if str(run.record.student).startswith("bert_cat")
        else f"{data.get('query_length')} tokens of a query and {data.get('document_length')} of a passage"
    )
    return _section(
        "Limits",
        [
            f"- It was trained and measured on {run.record.data.get('name')} alone; on other texts, in other languages "
            "and for other users it may rank worse than the first stage.",
            f"- It reads {read}; what is longer is cut.",
            "- Its scores are raw numbers that order the passages of one query. They are not probabilities, and scores "
            "of different queries cannot be compared.",
            "- It repeats what its teacher and its judgements prefer, biases included.",
            "- Whoever publishes it must state its licence; those of the base model, the teacher and the data apply.",
        ],
    )


def _recipe(recipe: JsonObject) -> str:
    """Return the keys that the recipe sets; of files and folders on this machine the last part of the name is told."""
    lines, tables = [], []
    for key, value in recipe.items():
        if isinstance(value, dict) and value:
            own = {name: one for name, one in value.items() if one is not None}
            tables += ["", f"[{key}]", *(f"{_bare(name)} = {to_toml(_placed(one))}" for name, one in own.items())]
        elif value is not None and value not in ([], {}):
            lines.append(f"{key} = {to_toml(_placed(value))}")
    return _section("Recipe", ["```toml", *(line.replace("```", "'''") for line in (*lines, *tables)), "```"])


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else to_toml(name)


def _placed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _placed(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_placed(one) for one in value]
    return without_place(value) if isinstance(value, str) else value


def _data_set(resolved: JsonObject, data: JsonObject) -> str:
    """Return the hub id of a data set of the hub, else the collection's name."""
    table_ = as_table(resolved.get("data"))
    dataset = table_.get("dataset") if table_.get("source") == "huggingface" else None
    return str(dataset or without_place(str(data.get("name"))))


def _index(run: StoredRun, results: dict[str, StoredResults]) -> Iterator[JsonObject]:
    """Yield the results of each query set in the form of the hub's `model-index`."""
    record = run.record
    evaluate = as_table(record.resolved.get("evaluate"))
    for name, found in results.items():
        other = as_table(as_table(as_table(evaluate.get("sets")).get(name)))
        merged = {**record.resolved, "data": {**as_table(record.resolved.get("data")), **as_table(other.get("data"))}}
        data = {"name": str(as_table(other.get("data")).get("path") or record.data.get("name"))}
        metrics = [{"type": one, "name": one, "value": value} for one, value in _means(found).items()]
        for metric in metrics:
            if bounds := _bounds(found, str(metric["name"])):
                metric["args"] = {"interval": [*bounds], "level": LEVEL}
        yield {
            "task": {"type": "text-ranking", "name": "re-ranking"},
            "dataset": {
                "name": without_place(data["name"]),
                "type": _data_set(merged, data),
                "split": str(other.get("split") or evaluate.get("split")),
                "args": {"set": name, "fingerprint": record.data.get("fingerprint")},
            },
            "metrics": metrics,
        }


def _section(title: str, lines: list[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def refresh_cards(folder: RunFolder) -> None:
    """Write the cards of a finished run and of its twin, where an earlier version left them empty."""
    try:
        twin = StoredRun(folder.path).twin()
        for one in (folder, *([twin.folder] if twin is not None else [])):
            write_card(one)
    except (OSError, UserError):
        pass  # what is finished stays so on a disk that is full or may not be written

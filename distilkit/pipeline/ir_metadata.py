"""ir_metadata of a TREC run: who made it, where, of what and how, in the open format of YAML beside the run file.

The format and its six parts (PRIMAD: platform, research goal, implementation, method, actor, data) are those of
Breuer, Keller and Schaer, *ir_metadata: An Extensible Metadata Schema for IR Experiments* (SIGIR 2022).
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distilkit.files import write_text
from distilkit.run_folders.record import JsonObject, RunRecord, as_table

FIRST_STAGE = "first stage"


def write_ir_metadata(path: Path, record: RunRecord, tag: str, split: str, measures: Sequence[str]) -> None:
    """Write the metadata of one system's run on a query set; `tag` is that of the run file."""
    write_text(path, "\n".join(_yaml(ir_metadata(record, tag, split, measures))) + "\n")


def ir_metadata(record: RunRecord, tag: str, split: str, measures: Sequence[str]) -> JsonObject:
    """Return the metadata of one system's run: of the student, the teacher or the first stage, as the tag says."""
    resolved, host = record.resolved, record.host
    data, report = as_table(resolved.get("data")), as_table(resolved.get("report"))
    libraries = [f"{name}=={version}" for name, version in record.versions.items() if name != "python"]
    return {
        "tag": tag,
        "platform": {
            "hardware": {"cpu": {"model": host.get("cpu"), "number of cores": host.get("cores")}},
            "operating system": {"kernel": host.get("system")},
            "software": {"libraries": {"python": libraries}, "python": record.versions.get("python")},
        },
        "research goal": {
            "evaluation": {
                "reported measures": [*measures],
                "baseline": [*(report.get("baselines") or ["teacher"])],
                "significance test": [{"name": "t-test", "correction method": report.get("correction")}],
            }
        },
        "implementation": {
            "executable": {"cmd": "distilkit run RECIPE"},
            "source": {"lang": ["python"], "commit": as_table(record.raw.get("git")).get("commit")},
        },
        "method": {
            "automatic": True,
            "score ties": "reverse alphabetical order",
            "retrieval": [*_retrieval(resolved, record, tag)],
        },
        "actor": {"role": "experimenter"},
        "data": {
            "test collection": {
                "name": record.data.get("name"),
                "source": data.get("dataset") or data.get("source"),
                "split": split,
                "fingerprint": record.data.get("fingerprint"),
            },
            "training data": [{"name": record.data.get("name"), "split": "train"}],
        },
    }


def _retrieval(resolved: JsonObject, record: RunRecord, tag: str) -> Iterator[JsonObject]:
    data, teacher = as_table(resolved.get("data")), as_table(resolved.get("teacher"))
    first: JsonObject = {"name": FIRST_STAGE, "method": data.get("candidates") or "bm25"}
    yield {**first, "k1": data.get("k1"), "b": data.get("b"), "stemmer": data.get("stemmer")}
    if tag == "teacher":
        models = [without_place(str(one)) for one in teacher.get("models") or [teacher.get("model")]]
        yield {"name": tag, "method": teacher.get("architecture"), "models": models, "reranks": FIRST_STAGE}
    elif tag != "bm25":
        how = {"method": record.student, "strategy": record.strategy, "seed": record.seed}
        yield {"name": tag, **how, "reranks": FIRST_STAGE}


def _yaml(table: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of a mapping: mappings in blocks, all else as JSON, which is YAML; what is not known is left out.

    A list of mappings has one of them a line.
    """
    for key, value in table.items():
        if isinstance(value, Mapping):
            if lines := [*_yaml(value, f"{indent}  ")]:
                yield f"{indent}{key}:"
                yield from lines
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            yield f"{indent}{key}:"
            for one in value:
                known = {name: found for name, found in one.items() if found is not None}
                yield f"{indent}  - {json.dumps(known, ensure_ascii=False)}"
        elif value is not None:
            yield f"{indent}{key}: {json.dumps(value, ensure_ascii=False)}"


def without_place(text: str) -> str:
    """Return a text, of an absolute path the last part alone: where it lies is nobody else's business."""
    return Path(text).name if os.path.isabs(text) or text.startswith("~") else text

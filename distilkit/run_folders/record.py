"""Typed records of the files of a run: run.json, status.json, the lines of events.jsonl, cost.json."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.manifest import REMEDY, SEAL, is_sealed
from distilkit.untrusted import parse_json

JsonObject = dict[str, Any]
"""The object of a JSON file."""

Record = TypeVar("Record", "RunRecord", "RunStatus", "Cost")

_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "strategy": str,
    "student": str,
    "seed": int,
    "twin": (str, type(None)),
    "overrides": list,
    "resolved": dict,
    "data": dict,
    "versions": dict,
    "created": str,
}
"""The keys that a run.json cannot do without, with their types."""


@dataclass(frozen=True)
class RunRecord:
    """run.json: what a run was started with. `raw` is the whole object.

    `recipe` has the keys that were set, `resolved` all of them; `twin` and `twin_of` are names of runs. `content` has
    the hashes of what the run reads: data, judgements, models and files.
    """

    name: str = ""
    strategy: str = ""
    student: str = ""
    seed: int = 0
    twin: str | None = None
    twin_of: str | None = None
    overrides: tuple[str, ...] = ()
    recipe: JsonObject = field(default_factory=dict)
    resolved: JsonObject = field(default_factory=dict)
    data: JsonObject = field(default_factory=dict)
    versions: JsonObject = field(default_factory=dict)
    created: str = ""
    precision: JsonObject = field(default_factory=dict)
    content: JsonObject = field(default_factory=dict)
    host: JsonObject = field(default_factory=dict)
    boot_id: str | None = None
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, table: JsonObject) -> "RunRecord":
        """Return the record of an object; what it does not say, or says in another form, has its default."""
        return _typed(cls, table)


def read_record(path: Path) -> RunRecord:
    """Return the record of a run.json; raises UserError where it is damaged or lacks a key."""
    table = as_table(_read(path))
    for key, types in _REQUIRED.items():
        if key not in table:
            raise UserError(f"{path}: is not a record of a run: {key} is missing")
        if not isinstance(table[key], types):
            raise UserError(f"{path}: is not a record of a run: {key} is {table[key]!r}")
    return RunRecord.of(table)


@dataclass(frozen=True)
class RunStatus:
    """status.json: how far a run is, replaced as it goes on. `raw` is the whole object.

    `step` of `total` steps are those of the stage in training, `phase_done` of `phase_total` the units of the phase,
    `rate` its units a second, `eta` its seconds left, `heartbeat` the seconds since the epoch at which it was written
    and `expect_next` the seconds until the next one. `whole` is how far the whole run is: the `share` of its time that
    is over, the seconds that were spent on it, before a stop too (`spent_s`), and those that are left by the forecast
    (`left_s`). `values` are the last loss and terms, `validation` the last measures, `error` what ended it, `waiting`
    the artifact (`KIND/KEY`) that another run is building and this one waits for.
    """

    state: str = ""
    phase: str = ""
    phase_done: float | None = None
    phase_total: float | None = None
    step: int | None = None
    total: int | None = None
    rate: float | None = None
    eta: float | None = None
    whole: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    validation: dict[str, float] = field(default_factory=dict)
    error: str = ""
    waiting: str = ""
    heartbeat: float | None = None
    expect_next: float = 30.0
    pid: int | None = None
    pid_start: str | None = None
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, table: JsonObject) -> "RunStatus":
        """Return the status of an object; what it does not say, or says in another form, has its default."""
        error = as_table(table.get("exit")).get("error")
        return _typed(cls, table, error=error, heartbeat=table.get("hb_t"), expect_next=table.get("expect_next_s"))


def read_status(path: Path) -> RunStatus:
    """Return a status.json; an empty one where there is none yet or it cannot be read as JSON.

    Raises UserError where the system does not let it be read.
    """
    try:
        found = read_json(path, links=False)
    except (FileNotFoundError, ValueError):
        return RunStatus()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return RunStatus.of(as_table(found))


class Event(NamedTuple):
    """A line of events.jsonl: what was measured at a step of a stage; `trial` names the point of a grid."""

    time: float
    step: int
    kind: str
    stage: str
    values: JsonObject
    trial: str = ""
    key: str = ""


def trial_label(values: JsonObject) -> str:
    """Return the values of a grid point for people and events: `learning_rate 0.0001, temperature 2`."""
    return ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in values.items())


def parse_event(line: str | bytes) -> Event | None:
    """Return the event of a line, None where it is damaged or still being written."""
    try:
        found = parse_json(line)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    time, step, values = number(found.get("t")), _whole(found.get("step")), found.get("values", {})
    if time is None or step is None or not isinstance(values, dict):
        return None
    kind, stage = text(found.get("kind")), text(found.get("stage"))
    return Event(time, step, kind, stage, values, text(found.get("trial")), text(found.get("key")))


@dataclass(frozen=True)
class Cost:
    """cost.json: what a system costs; None for what it does not state. `raw` is the whole object.

    `ms_per_query` is the median, `training_seconds` those of each stage. `latency` has the medians of rounds in which
    the ranker and its teacher, or the ranker that `beside` names, were timed by turns, `own_ms` and `beside_ms`.
    `budget` has the labelled queries and the training behind the ranker, without and with (`total_`) those of its
    teachers.
    """

    parameters: float | None = None
    weight_bytes: float | None = None
    macs_per_pair: float | None = None
    length: int | None = None
    ms_per_query: float | None = None
    depth: int | None = None
    peak_memory_bytes: float | None = None
    bytes_per_document: float | None = None
    training_seconds: dict[str, float] = field(default_factory=dict)
    teacher_seconds: float | None = None
    machine: JsonObject = field(default_factory=dict)
    latency: JsonObject = field(default_factory=dict)
    budget: JsonObject = field(default_factory=dict)
    raw: JsonObject = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, table: JsonObject) -> "Cost":
        """Return the cost of an object; what it does not say, or says in another form, has its default."""
        return _typed(cls, table, ms_per_query=as_table(table.get("ms_per_query")).get("p50"))


def read_object(path: Path) -> JsonObject:
    """Return the object of a JSON file; raises UserError for anything else."""
    found = _read(path)
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected an object")
    return found


def read_object_if_any(path: Path) -> JsonObject:
    """Return the object of a JSON file, empty where there is no file; raises UserError for anything else."""
    return read_object(path) if path.is_file() else {}


def number(value: object) -> float | None:
    """Return a value if it is a finite number, else None."""
    return float(value) if isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) else None


def flat(table: JsonObject, prefix: str = "") -> JsonObject:
    """Return a nested table with dotted keys: `train.learning_rate` -> 0.0002."""
    found: JsonObject = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def numbers(value: object) -> dict[str, float]:
    """Return the finite numbers of an object by name."""
    found = {str(name): number(one) for name, one in as_table(value).items()}
    return {name: one for name, one in found.items() if one is not None}


def text(value: object) -> str:
    """Return a value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def as_table(value: object) -> JsonObject:
    """Return a value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


_READERS: dict[Any, Callable[[object], object]] = {
    str: text,
    str | None: lambda value: text(value) or None,
    int: _whole,
    int | None: _whole,
    float: number,
    float | None: number,
    tuple[str, ...]: lambda value: tuple(map(str, value)) if isinstance(value, list) else (),
    dict[str, float]: numbers,
    JsonObject: as_table,
}
"""A field's type -> what reads its value; None leaves the field its default."""


def _typed(cls: type[Record], table: JsonObject, **elsewhere: object) -> Record:
    """Return a record of the keys of an object; `elsewhere` are values that lie under another key than the field."""
    said = {**table, **elsewhere, "raw": table}
    read = {one.name: _READERS[one.type](said.get(one.name)) for one in fields(cls)}
    values: dict[str, Any] = {name: value for name, value in read.items() if value is not None}
    return cls(**values)


def _read(path: Path) -> object:
    try:
        found: object = read_json(path, links=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if isinstance(found, dict) and SEAL in found and not is_sealed(found):
        raise UserError(f"{path} is damaged: it is not what was written; {REMEDY}")
    return found

"""The keys of a recipe with their types, defaults, choices and help, from the recipe's own schema."""

import inspect
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from distilkit.data.sources import SOURCES
from distilkit.errors import UserError, nearest
from distilkit.models import STUDENTS
from distilkit.problems import shown
from distilkit.registry import Registry
from distilkit.settings import EvaluationSetSettings, Recipe, Section, TeacherSettings, TrainSettings
from distilkit.strategies import STRATEGIES
from distilkit.strategies.describe import key_help

NAMES: dict[object, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple: "list",
    dict: "table",
}
# Sections in the order in which one fills them in; the others follow.
ORDER = ("", "matrix", "strategy", "student", "data", "teacher", "train", "teacher.train", "twin", "evaluate", "report")
# Tables of a recipe that carry a name of the user's choice, and what they hold.
NAMED: dict[str, type[Section]] = {
    "evaluate.sets": EvaluationSetSettings,
    "stages": TrainSettings,
    "teachers": TeacherSettings,
}
TOP = "top"
REGISTRIES: dict[str, Registry[Any]] = {
    "data.source": SOURCES,
    "student.architecture": STUDENTS,
    "teacher.architecture": STUDENTS,
    "strategy.name": STRATEGIES,
}


@dataclass(frozen=True)
class Field:
    """A key of a recipe: its dotted name, what it takes, its default as TOML, its help, and its choices if it has."""

    key: str
    kind: str
    default: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The section that it stands in."""
        return self.key.rpartition(".")[0] if not self.key.startswith("strategy.") else "strategy"

    def to_json(self) -> dict[str, Any]:
        """Return the key as plain data."""
        return {
            "key": self.key,
            "type": self.kind,
            "choices": [*self.choices],
            "default": self.default,
            "help": self.help,
        }


def form(strategy: str | None, suite: bool) -> list[Field]:
    """Return the fields of a recipe with a strategy (none: a suite's, which has many), section by section."""
    found = list(of_section(Recipe, ""))
    if strategy is not None and strategy in STRATEGIES:
        found += _of_strategy(strategy)
    if not suite:
        found = [field for field in found if field.section != "matrix"]
    sections = list(dict.fromkeys(field.section for field in found))
    sections.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return [field for section in sections for field in found if field.section == section]


def keys(section: str | None = None) -> list[Field]:
    """Return the keys of a recipe, or those of a section and of the sections in it.

    Args:
        section: such as train, data.passages, evaluate.sets or strategy.margin_mse; `top` for the keys that stand above
            all sections; all keys by default, those of [strategy] left out, which each strategy has of its own

    Raises UserError for a section that there is not.
    """
    found = list(of_section(Recipe, ""))
    if section is None:
        return found
    asked = section.strip("[]").removesuffix(".NAME")
    if asked == TOP:
        return [field for field in found if field.section == ""]
    if asked in NAMED:
        return list(of_section(NAMED[asked], f"{asked}.NAME."))
    table, _, name = asked.partition(".")
    if table == "strategy":
        return list(_of_strategy(STRATEGIES.resolve(name))) if name else _every_strategy()
    if own := [field for field in found if f"{field.section}.".startswith(f"{asked}.")]:
        return own
    known = [TOP, "strategy", *NAMED, *dict.fromkeys(field.section for field in found if field.section)]
    raise UserError(f"a recipe has no section {section!r}; expected one of {', '.join(known)}{nearest(asked, known)}")


def _every_strategy() -> list[Field]:
    """Return the keys of all strategies, each key once, with the strategies that have it in its help."""
    owners: dict[str, list[str]] = {}
    found: dict[str, Field] = {}
    for name in STRATEGIES:
        for field in _of_strategy(name):
            found.setdefault(field.key, field)
            owners.setdefault(field.key, []).append(name)
    return [
        replace(field, help="The method; recipe-keys strategy.NAME explains one.")
        if key == "strategy.name"
        else replace(field, help=f"{field.help} ({', '.join(owners[key])})")
        for key, field in found.items()
    ]


def section_help(section: str) -> str:
    """Return what a section's class says of it, "" where it says nothing."""
    model: Any = Recipe
    if section in NAMED:
        return class_help(NAMED[section])
    for part in section.split(".") if section else []:
        info = model.model_fields.get(part)
        model = None if info is None else _section(info.annotation)
        if model is None:
            return ""
    return class_help(model)


def class_help(model: type[BaseModel]) -> str:
    """Return the documentation of a section's class, without the section's name before it."""
    text = " ".join((inspect.getdoc(model) or "").split())
    text = text.partition(": ")[2] or text
    return text[:1].upper() + text[1:]


def of_section(model: type[BaseModel], prefix: str) -> Iterator[Field]:
    """Yield the fields of a section and of the sections in it, their names after a prefix such as "data."."""
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        if key == "strategy":
            continue
        section = _section(info.annotation)
        if section is not None:
            yield from of_section(section, f"{key}.")
        else:
            yield _field(key, info)


def _field(key: str, info: FieldInfo) -> Field:
    kind, choices = _kind(info.annotation)
    default = "" if info.is_required() else shown(_plain(info.get_default(call_default_factory=True)))
    registry = REGISTRIES.get(key)
    return Field(key, kind, default, info.description or "", tuple(registry) if registry else choices)


def _of_strategy(name: str) -> Iterator[Field]:
    kind = STRATEGIES[name]
    about = inspect.getdoc(kind) or ""
    yield Field("strategy.name", "text", "", about, tuple(STRATEGIES))
    first = about.partition("\n")[0]
    yield from _of_dataclass(kind, "strategy.", f"Of {STRATEGIES.resolve(name)}: {first[:1].lower()}{first[1:]}")


def _of_dataclass(kind: type[Any], prefix: str, about: str) -> Iterator[Field]:
    hints, own = get_type_hints(kind, include_extras=True), key_help(kind)
    # What several strategies share stands behind what is a strategy's own.
    for field in sorted(fields(kind), key=lambda field: field.name not in inspect.get_annotations(kind)):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if is_dataclass(default):
            yield from _of_dataclass(type(default), f"{prefix}{field.name}.", about)
        else:
            found, choices = _kind(hints[field.name])
            yield Field(f"{prefix}{field.name}", found, shown(_plain(default)), own.get(field.name, about), choices)


def _section(annotation: object) -> type[Section] | None:
    """Return the section that an annotation stands for, also one that may be absent."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, Section):
            return one if get_origin(annotation) in (None, UnionType, Union) else None
    return None


def _kind(annotation: object) -> tuple[str, tuple[str, ...]]:
    """Return what an annotation takes in words, and its choices where these are all it takes."""
    parts = list(_parts(annotation))
    names = list(dict.fromkeys(NAMES.get(get_origin(part) or part, "") for part in parts if not _literals(part)))
    choices = [shown(value) for part in parts for value in _literals(part)]
    if bool in parts:
        choices += ["true", "false"]
    optional = type(None) in parts
    words = [name for name in names if name and name != NAMES[bool]]
    if choices and not words:
        return " or ".join(choices), (*choices, "none") if optional else tuple(choices)
    return " or ".join([*choices, *words, *(["none"] if optional else [])]), ()


def _parts(annotation: object) -> Iterator[object]:
    """Yield the alternatives of an annotation, bare of what constrains them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _parts(get_args(annotation)[0])
    elif origin in (UnionType, Union):
        for part in get_args(annotation):
            yield from _parts(part)
    else:
        yield annotation


def _literals(part: object) -> tuple[Any, ...]:
    return get_args(part) if get_origin(part) is Literal else ()


def _plain(value: object) -> object:
    return value.model_dump(mode="json", by_alias=True) if isinstance(value, BaseModel) else value

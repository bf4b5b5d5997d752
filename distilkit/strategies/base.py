"""What a strategy is, and the names in tables that re-create one."""

import json
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from pydantic import TypeAdapter, ValidationError

from distilkit.errors import UserError, nearest
from distilkit.plugins import load_entry_points
from distilkit.problems import Location, Problem, to_toml
from distilkit.registry import Registry
from distilkit.settings import Recipe, TrainSettings
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import Term
from distilkit.untrusted import parse_toml

T = TypeVar("T")

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


@runtime_checkable
class Strategy(Protocol):
    """A named list of stages; a frozen dataclass whose fields are its recipe keys."""

    paper: ClassVar[str]

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the stages with which this strategy trains a student."""
        ...


STRATEGIES: Registry[type[Any]] = Registry("strategy", load_entry_points)


class StrategyError(UserError):
    """A [strategy] table is wrong; `location` is the path of the key at fault inside it."""

    def __init__(self, message: str, location: Location = ()) -> None:
        super().__init__(message)
        self.location = location


def strategy_from_table(table: dict[str, Any]) -> Strategy:
    """Return the strategy of a recipe's [strategy] table; raises UserError that names the wrong key."""
    settings = dict(table)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        found = "is missing" if name is None else f"= {to_toml(name)}"
        raise StrategyError(f"[strategy] name {found}; expected one of {', '.join(STRATEGIES)}", ("name",))
    try:
        kind = STRATEGIES[name]
    except UserError as error:
        raise StrategyError(str(error), ("name",)) from None
    strategy: Strategy = validated(kind, settings, STRATEGIES.resolve(name))
    try:
        strategy.stages(TrainSettings(), 1)
    except ValueError as error:  # keys that are right each, and together leave a stage without a loss
        raise StrategyError(f"[strategy]: {error}") from None
    return strategy


def validated(kind: type[T], table: dict[str, Any], name: str, within: Location = ()) -> T:
    """Return the strategy or loss term called `name` that a table describes; `within` is where in [strategy] it stands.

    Raises StrategyError that names the wrong key.
    """
    try:
        # By way of JSON, where strict validation takes a table for a dataclass and a list for a tuple.
        found: T = _adapter(kind).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        raise _refusal(error, kind, name, within) from None
    return found


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """Return what validates a dataclass: making it takes far longer than using it, so it is made once."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def parse_strategy(text: str) -> Strategy:
    """Return the strategy that a name such as `simplified_tinybert(temperature=2.0)` stands for; raises UserError."""
    return strategy_from_table(_given(text))


def with_shared(text: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the [strategy] table of a name, its absent keys taken from shared ones where the strategy has them.

    Raises UserError as `parse_strategy` does.
    """
    given = _given(text)
    kind = type(strategy_from_table(given))
    table = {"name": given["name"], **_owned(shared, kind())}
    for key, value in given.items():
        below = table.get(key)
        table[key] = {**below, **value} if isinstance(below, dict) and isinstance(value, dict) else value
    strategy_from_table(table)
    return table


def _given(text: str) -> dict[str, Any]:
    name, bracket, rest = text.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise UserError(f"{text!r}: expected NAME or NAME(key=value, ...)")
    try:
        found = parse_toml(f"settings = {{{rest[:-1]}}}" if bracket else "settings = {}")
    except ValueError:
        found = {}
    settings = found.get("settings", {})
    if list(found) != ["settings"] or "name" in settings:
        raise UserError(f"{text!r}: expected NAME(key=value, ...) with TOML values")
    return {"name": name.strip(), **settings}


def _owned(table: dict[str, Any], instance: Any) -> dict[str, Any]:
    """Return the keys of a table that a dataclass has, those of its nested tables likewise."""
    owned = {}
    for field in fields(instance):
        if field.name in table:
            value, own = table[field.name], getattr(instance, field.name)
            nested = isinstance(value, dict) and hasattr(own, "__dataclass_fields__")
            owned[field.name] = _owned(value, own) if nested else value
    return owned


def strategy_name(strategy: Strategy) -> str:
    """Return the name that `parse_strategy` turns back into an equal strategy: only what differs from the defaults."""
    key = STRATEGIES.name_of(type(strategy))
    changed = [f"{name}={to_toml(value)}" for name, value in table_of(strategy, changed_alone=True).items()]
    return f"{key}({', '.join(changed)})" if changed else key


def named_table(strategy: Strategy) -> dict[str, Any]:
    """Return the [strategy] table of a strategy: its name and every key."""
    return {"name": STRATEGIES.name_of(type(strategy)), **strategy_table(strategy)}


def strategy_table(strategy: Strategy) -> dict[str, Any]:
    """Return every key of a strategy and its value, defaults too."""
    table: dict[str, Any] = table_of(strategy)
    return table


def table_of(value: object, changed_alone: bool = False) -> Any:
    """Return a strategy, or a value of one, as tables and lists; `changed_alone` leaves out keys that have a default's
    value."""
    if isinstance(value, tuple):
        return [table_of(one, changed_alone) for one in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    table = {"name": value.name} if isinstance(value, Term) else {}
    for field in fields(value):
        own = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if not changed_alone or own != default:
            table[field.name] = table_of(own, changed_alone)
    return table


def stages_of(name: str) -> list[Stage]:
    """Return every stage that a strategy may have: those of its defaults, and of every flag turned the other way."""
    kind = STRATEGIES[name]
    defaults = kind()
    flags = [field.name for field in fields(kind) if isinstance(getattr(defaults, field.name), bool)]
    variants = [{}, *({flag: not getattr(defaults, flag)} for flag in flags)]
    return [stage for changed in variants for stage in kind(**changed).stages(TrainSettings(), 1)]


def _refusal(error: ValidationError, kind: type[Any], name: str, within: Location) -> StrategyError:
    problem = Problem(error)
    location = within + problem.location
    *parents, last = ["strategy", *location]
    shown = f"[{'.'.join(parents)}] {last}" if parents else f"[{last}]"
    if not problem.is_unknown_key:
        return StrategyError(f"{shown}{problem.sentence}", location)
    for part in problem.location[:-1]:
        kind = next(field.type for field in fields(kind) if field.name == part)  # type: ignore[assignment]
    known = [field.name for field in fields(kind)]
    return StrategyError(f"{shown} is not a key of {name}{nearest(last, known)}", location)


def resolved_stages(recipe: Recipe) -> list[Stage]:
    """Return a recipe's stages, each with its own settings of [stages.NAME]; text is drawn by `general_seed`.

    Without labels the losses of labels are off; raises UserError for a stage that has no other.
    """
    stages = strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)
    settled = []
    for stage in stages:
        own, theirs = recipe.stages.get(stage.name, {}), vars(recipe.train)
        # What a strategy changes of [train], such as the length of its lists.
        changed = {key: value for key, value in vars(stage.train).items() if value != theirs[key]}
        train = TrainSettings.model_validate({**recipe.train.model_dump(exclude_unset=True), **changed, **own})
        seed = recipe.general_seed if stage.examples == "text" else stage.seed
        if train.labels != recipe.train.labels:
            raise UserError(f"[stages.{stage.name}] labels: all stages have those of [train]; expected it there")
        settled.append(replace(stage, train=train, seed=seed, terms=_without_labels(stage, train)))
    return settled


def _without_labels(stage: Stage, train: TrainSettings) -> tuple[Term, ...]:
    """Return a stage's losses, less those of labels where there are none; raises UserError where none is left."""
    if train.labels == "judgements" or stage.examples == "text":  # which needs no judgements
        return stage.terms
    if not (kept := tuple(term for term in stage.terms if term.uses_teacher)):
        names = " and ".join(term.name for term in stage.terms)
        raise UserError(
            f'[train] labels = "none": the stage {stage.name} learns from labels alone ({names}); expected a strategy '
            "that learns from a teacher's scores, such as margin_mse or listwise"
        )
    return kept


def losses_off(recipe: Recipe) -> list[str]:
    """Return what is to be said of losses that are off in a recipe without labels; nothing with labels."""
    stages = strategy_from_table(recipe.strategy).stages(recipe.train, recipe.seed)
    kept = {stage.name: stage.terms for stage in resolved_stages(recipe)}
    off = {stage.name: [term.name for term in stage.terms if term not in kept[stage.name]] for stage in stages}
    return [f"without labels the loss {name} of the stage {stage} is off" for stage in off for name in off[stage]]


def label_strategy(key: str, text: str) -> Strategy:
    """Return the strategy of a key that takes one without a teacher; raises UserError that names the key."""
    try:
        strategy = parse_strategy(text)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    if any(stage.uses_teacher for stage in strategy.stages(TrainSettings(), 1)):
        raise UserError(f"{key} = {text!r} needs a teacher itself; expected fine_tune(...)")
    return strategy

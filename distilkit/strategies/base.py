"""What a strategy is, and the names in tables that re-create one."""

import json
import tomllib
from dataclasses import MISSING, asdict, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import ConfigDict, TypeAdapter, ValidationError

from distilkit.errors import UserError, nearest
from distilkit.registry import Registry
from distilkit.settings import TrainSettings
from distilkit.strategies.stage import Stage

# Put into a strategy as `__pydantic_config__`, so that recipes are as strict inside [strategy] as elsewhere.
STRICT = ConfigDict(extra="forbid", strict=True)


@runtime_checkable
class Strategy(Protocol):
    """A named list of stages; a frozen dataclass whose fields are its recipe keys."""

    paper: ClassVar[str]

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the stages with which this strategy trains a student."""
        ...


STRATEGIES: Registry[type[Any]] = Registry("strategy")


def strategy_from_table(table: dict[str, Any]) -> Strategy:
    """Return the strategy of a recipe's [strategy] table; raises UserError that names the wrong key."""
    settings = dict(table)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"[strategy] name is missing; expected one of {', '.join(STRATEGIES)}")
    kind = STRATEGIES[name]
    try:
        # By way of JSON, where strict validation takes a table for a dataclass and a list for a tuple.
        strategy: Strategy = TypeAdapter(kind).validate_json(json.dumps(settings, default=str))
    except ValidationError as error:
        raise UserError(_explain(error, kind, STRATEGIES.resolve(name))) from None
    return strategy


def parse_strategy(text: str) -> Strategy:
    """Return the strategy that a name such as `simplified_tinybert(temperature=2.0)` stands for; raises UserError."""
    name, bracket, rest = text.strip().partition("(")
    if bracket and not rest.endswith(")"):
        raise UserError(f"{text!r}: expected NAME or NAME(key=value, ...)")
    try:
        settings = tomllib.loads(f"settings = {{{rest[:-1]}}}")["settings"] if bracket else {}
    except tomllib.TOMLDecodeError:
        raise UserError(f"{text!r}: expected NAME(key=value, ...) with TOML values") from None
    return strategy_from_table({"name": name.strip(), **settings})


def strategy_name(strategy: Strategy) -> str:
    """Return the name that `parse_strategy` turns back into an equal strategy: only what differs from the defaults."""
    key = next(name for name in STRATEGIES if STRATEGIES[name] is type(strategy))
    changed = [f"{name}={_toml(value)}" for name, value in _changed(strategy).items()]
    return f"{key}({', '.join(changed)})" if changed else key


def strategy_table(strategy: Strategy) -> dict[str, Any]:
    """Return every key of a strategy and its value, defaults too."""
    return asdict(strategy)  # type: ignore[call-overload, no-any-return]


def _changed(instance: Any) -> dict[str, Any]:
    changed = {}
    for field in fields(instance):
        value = getattr(instance, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            changed[field.name] = _changed(value) if hasattr(value, "__dataclass_fields__") else value
    return changed


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def _explain(error: ValidationError, kind: type[Any], name: str) -> str:
    problems = sorted(
        error.errors(include_url=False), key=lambda problem: problem["type"] != "unexpected_keyword_argument"
    )
    problem = problems[0]
    location = [str(part) for part in problem["loc"]]
    shown = " ".join((f"[{'.'.join(['strategy', *location[:-1]])}]", location[-1]))
    if problem["type"] == "unexpected_keyword_argument":
        for part in location[:-1]:
            kind = next(field.type for field in fields(kind) if field.name == part)  # type: ignore[assignment]
        return f"{shown} is no key of {name}{nearest(location[-1], [field.name for field in fields(kind)])}"
    message = problem["msg"]
    return f"{shown} = {problem['input']!r}: {message[:1].lower()}{message[1:]}"

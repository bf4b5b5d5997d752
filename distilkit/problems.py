"""Sentences for what pydantic finds wrong, in the words of a recipe's author."""

import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

Location = tuple[str, ...]

_EXPECTED: dict[str, str | Callable[[dict[str, Any]], str]] = {
    "string_type": "a string",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "dataclass_type": "a table",
    "dataclass_exact_type": "a table",
    "too_short": "a list of one value or more",
    "finite_number": "a finite number",
    "greater_than": lambda bounds: f"a number above {bounds['gt']:g}",
    "greater_than_equal": lambda bounds: f"a number from {bounds['ge']:g}",
    "less_than": lambda bounds: f"a number below {bounds['lt']:g}",
    "less_than_equal": lambda bounds: f"a number up to {bounds['le']:g}",
    "literal_error": lambda choices: str(choices["expected"]).replace("True", "true").replace("False", "false"),
}
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


class Problem:
    """The first thing wrong with a table, unknown keys before all else.

    `location` is the path of the key at fault, empty where the table as a whole is wrong.
    """

    def __init__(self, error: ValidationError) -> None:
        problems = error.errors(include_url=False)
        self._problem = min(problems, key=lambda problem: problem["type"] not in _UNKNOWN)
        # A wrong key of a free table ends in a mark of pydantic's own.
        self.location: Location = tuple(str(part) for part in self._problem["loc"] if part != "[key]")

    @property
    def is_unknown_key(self) -> bool:
        """Whether the key is none."""
        return self._problem["type"] in _UNKNOWN

    @property
    def is_missing(self) -> bool:
        """Whether the key has to be there and is not."""
        return self._problem["type"] == "missing"

    @property
    def sentence(self) -> str:
        """The value, and what was expected: ` = "fast": expected a number`."""
        value = self._problem["input"]
        shown = f" = {to_toml(value)}" if isinstance(value, (bool, int, float, str, list)) else ""
        return f"{shown}: {self._expected()}"

    def _expected(self) -> str:
        expected = _EXPECTED.get(self._problem["type"])
        if expected is not None:
            return f"expected {expected if isinstance(expected, str) else expected(self._problem['ctx'])}"
        message = self._problem["msg"].removeprefix("Value error, ")
        return message[:1].lower() + message[1:]


def shown(value: object) -> str:
    """Return a value as one types it: TOML, with words bare and `none` for what is absent."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else to_toml(value)


def to_toml(value: object) -> str:
    """Return a value as TOML writes it on one line; None in a table is left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = (f"{toml_key(key)}={to_toml(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but TOML wants this one character escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    return repr(value) if isinstance(value, (int, float)) else str(value)


def toml_key(name: str) -> str:
    """Return a key as TOML writes it: a dot in it would else begin a table."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else to_toml(name)

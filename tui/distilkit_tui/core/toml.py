"""Writes a recipe back as TOML, which the standard library only reads."""

from typing import Any

from distilkit.problems import to_toml


def recipe_toml(table: dict[str, Any]) -> str:
    """Return a table of JSON values as TOML, inner tables inline; None is left out."""
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(inner)}" for key, inner in value.items() if inner is not None)
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(_value(inner) for inner in value)}]"
    return to_toml(value)


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else to_toml(key)

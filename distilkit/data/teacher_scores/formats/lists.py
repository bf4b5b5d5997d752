"""Lists in a row of a table, which some sets on the hub write as strings."""

import ast
from pathlib import Path
from typing import Any

from distilkit.data.teacher_scores.blocks import refuse


def as_list(file: Path, place: int, row: dict[str, Any], key: str) -> list[Any]:
    """Return the list that a row has under a key; raises UserError where there is none."""
    value = row.get(key)
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            refuse(file, place, f"expected {key} to be a list, got {value[:40]!r}")
    if not isinstance(value, list | tuple):
        refuse(file, place, f"expected {key} to be a list, got {value!r:.40}")
    return list(value)


def same_length(file: Path, place: int, first: list[Any], second: list[Any], keys: str) -> None:
    """Raise UserError unless two lists of a row go together."""
    if len(first) != len(second):
        refuse(file, place, f"{keys} have {len(first)} and {len(second)} entries; expected as many of each")

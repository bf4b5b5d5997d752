"""The README.md of a saved model."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def model_card(title: str, text: str, front_matter: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Return a model card: front matter, a title, a paragraph, and a table of facts."""
    lines = ["---", *(_yaml(key, value) for key, value in front_matter.items()), "---", "", f"# {title}", "", text, ""]
    if facts:
        lines += ["| | |", "|---|---|", *(f"| {_cell(name)} | {_cell(value)} |" for name, value in facts.items()), ""]
    return "\n".join(lines)


def _yaml(key: str, value: str | Sequence[str]) -> str:
    # A JSON value is a YAML value, quoted as it must be.
    return f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")

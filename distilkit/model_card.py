"""A model's README.md as text: front matter for the hub, a title, what the ranker is, and sections on what is known."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from distilkit.untrusted import parse_json, read_text

CARD = "README.md"
UNKNOWN = "unknown"
"""The hub's word for a licence that nobody stated."""


class Card(NamedTuple):
    """What a model card says about a ranker: the hub's library and tags for it, and a paragraph."""

    library: str
    tags: Sequence[str]
    text: str


@dataclass(frozen=True)
class ModelCard:
    """A card in its parts: the hub's front matter, the title, the ranker's own text, and sections that follow it."""

    front: Mapping[str, Any]
    title: str
    text: str
    sections: str = ""

    @classmethod
    def of(
        cls,
        card: Card,
        title: str,
        base_model: str | None,
        facts: Mapping[str, object],
        license: str | None = None,
    ) -> "ModelCard":
        """Return a ranker's own card: its paragraph and a table of facts."""
        front: dict[str, Any] = {"library_name": card.library, "pipeline_tag": "text-ranking", "tags": list(card.tags)}
        if base_model is not None:
            front["base_model"] = base_model
        if license is not None:
            front["license"] = license
        lines = [card.text, *(["", *table(["", ""], facts.items())] if facts else [])]
        return cls(front, title, "\n".join(lines))

    @classmethod
    def read(cls, folder: Path) -> "ModelCard | None":
        """Return the card in a model's folder; None where there is none, or it is not in the form that we write."""
        try:
            found = read_text(folder / CARD, links=False)
        except (OSError, ValueError):
            return None
        parts = re.match(r"---\n(.*?\n)---\n+# (.*?)\n+(.*)\Z", found, re.DOTALL)
        if parts is None:
            return None
        text, sign, sections = parts[3].partition("\n## ")
        return cls(dict(map(_entry, parts[1].splitlines())), parts[2], text.strip(), f"{sign}{sections}".strip())

    def with_facts_of(self, other: "ModelCard") -> "ModelCard":
        """Return the card with what another one of the same ranker knows beyond it: front matter and sections."""
        return replace(self, front={**other.front, **self.front}, sections=other.sections)

    def to_text(self) -> str:
        """Return the file's text."""
        # A JSON value is a YAML value, quoted as it must be.
        front = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in self.front.items())
        parts = ["\n".join(["---", *front, "---"]), f"# {self.title}", self.text, self.sections]
        return "\n\n".join(part for part in parts if part) + "\n"


def table(header: Sequence[str], rows: "Sequence[Sequence[object]] | Any") -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines]


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _entry(line: str) -> tuple[str, Any]:
    """Return a key of the front matter with its value: JSON, as we write it, or a bare word that somebody typed."""
    key, _, value = line.partition(":")
    try:
        return key.strip(), parse_json(value)
    except ValueError:
        return key.strip(), value.strip()

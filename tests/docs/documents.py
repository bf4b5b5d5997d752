"""The README and the pages of the site, generated ones included, as the blocks of code that stand in them."""

import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: its document, line, language and text."""

    document: str
    line: int
    language: str
    text: str


@cache
def pages_module() -> ModuleType:
    """Return the hook that makes the generated pages."""
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "docs" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def documents() -> dict[str, str]:
    """Return every document's Markdown by its path in the checkout."""
    written = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(written)}
    return {**found, **{f"docs/{path}": text for path, text in pages_module().pages().items()}}


def blocks(document: str) -> list[Block]:
    """Return a document's blocks of code."""
    text = re.sub(
        r"^--8<--\n(.*)\n--8<--$", lambda found: (ROOT / found[1]).read_text(), documents()[document], flags=re.M
    )
    return [
        Block(document, text.count("\n", 0, one.start()) + 1, one[2], re.sub(rf"^{one[1]}", "", one[3], flags=re.M))
        for one in FENCE.finditer(text)
    ]


def commands(document: str) -> list[str]:
    """Return the lines of a document's shell blocks, continued lines joined, comments left out."""
    lines = []
    for block in blocks(document):
        if block.language == "sh":
            lines += block.text.replace("\\\n", " ").splitlines()
    without = (line.partition(" #")[0].strip() for line in lines)
    return [line for line in without if line and not line.startswith("#")]


def inline_commands(document: str) -> list[str]:
    """Return the commands of distilkit that stand in a document's sentences, those with gaps left out."""
    prose = FENCE.sub("", documents()[document])
    found = re.findall(r"(?<!`)`(distilkit [a-z][^`]*)`(?!`)", prose)
    return [command for command in found if "..." not in command and "VERB" not in command]

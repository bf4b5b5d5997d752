"""What a score format is, and the registry of formats."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distilkit.data.teacher_scores.blocks import Block
from distilkit.data.teacher_scores.head import Head
from distilkit.errors import UserError
from distilkit.registry import Registry


@dataclass(frozen=True)
class Format:
    """A way of writing teacher scores.

    Attributes:
        shape: how a file of it looks, for messages
        matches: whether a file that begins so is one
        read: yields a file's rows; raises UserError naming the line of what is wrong
        holds: whether its rows name queries and passages by id or carry their texts
    """

    shape: str
    matches: Callable[[Head], bool]
    read: Callable[[Path], Iterator[Block]]
    holds: Literal["ids", "texts"] = "ids"


FORMATS: Registry[Format] = Registry("score format")


def sniff(path: Path) -> str:
    """Return the name of a file's format; raises UserError where it looks like none."""
    head = Head.of(path)
    found = next((name for name in FORMATS if FORMATS[name].matches(head)), None)
    if found is None:
        shapes = "; ".join(f"{name}: {FORMATS[name].shape}" for name in FORMATS)
        raise UserError(f"{path}: looks like no format of teacher scores; known: {shapes}")
    return found

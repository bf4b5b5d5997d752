"""The table of output formats."""

from collections.abc import Callable
from dataclasses import dataclass

from distilkit.comparison.result import ComparisonResult
from distilkit.registry import Registry


@dataclass(frozen=True)
class Screen:
    """What the output is read on: how many columns it has and whether it shows bold and colour."""

    width: int = 100
    styled: bool = False


Renderer = Callable[[ComparisonResult, Screen], str]

formats: Registry[Renderer] = Registry("format")
"""Name -> renderer; a renderer is a function from a result (and the screen, for those that care) to text."""

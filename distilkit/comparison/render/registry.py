"""The table of output formats."""

from collections.abc import Callable
from dataclasses import dataclass

from distilkit.comparison.result import ComparisonResult
from distilkit.registry import Registry


@dataclass(frozen=True)
class Screen:
    """What the output is read on: how many columns it has, whether it shows bold and colour, and how much it is to say.

    `details` adds every comparison's figures to text, which else tells in words what they come to.
    """

    width: int = 100
    styled: bool = False
    details: bool = False


Renderer = Callable[[ComparisonResult, Screen], str]

formats: Registry[Renderer] = Registry("format")
"""Name -> renderer; a renderer is a function from a result (and the screen, for those that care) to text."""

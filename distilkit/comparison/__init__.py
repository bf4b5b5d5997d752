"""Systems side by side: `render(compare(read_systems(arguments)))` is the whole of `distilkit compare`."""

from distilkit.comparison.compare import compare
from distilkit.comparison.render import Screen, formats, render
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean
from distilkit.comparison.systems import System, read_systems

__all__ = [
    "Comparison",
    "ComparisonResult",
    "Screen",
    "System",
    "SystemMean",
    "compare",
    "formats",
    "read_systems",
    "render",
]

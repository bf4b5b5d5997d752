"""Renderers of a ComparisonResult: one file per format, found by name in `formats`."""

from distilkit.comparison.render import csv, html, json, latex, markdown, text
from distilkit.comparison.render.registry import Renderer, Screen, formats
from distilkit.comparison.result import ComparisonResult

__all__ = ["Renderer", "Screen", "csv", "formats", "html", "json", "latex", "markdown", "render", "text"]


def render(result: ComparisonResult, name: str = "text", screen: Screen | None = None) -> str:
    """Return a result as text of a format, ending in one line break; raises UserError for an unknown format."""
    return formats[name](result, screen or Screen())

"""Renderers of a ComparisonResult: one function a format, found by name in `formats`."""

from collections.abc import Callable
from pathlib import Path

from distilkit.comparison.render.data import render_csv, render_json
from distilkit.comparison.render.html import render_html
from distilkit.comparison.render.latex import render_latex
from distilkit.comparison.render.longtable import render_longtable
from distilkit.comparison.render.markdown import render_markdown
from distilkit.comparison.render.text import Screen, render_text
from distilkit.comparison.result import ComparisonResult
from distilkit.registry import Registry

__all__ = ["Screen", "format_of", "formats", "render"]

formats: Registry[Callable[[ComparisonResult], str]] = Registry("format")
"""Name -> renderer; that of text is also told the screen."""

formats.register("csv")(render_csv)
formats.register("html")(render_html)
formats.register("json")(render_json)
formats.register("latex", "tex")(render_latex)
formats.register("longtable")(render_longtable)
formats.register("markdown", "md")(render_markdown)
formats.register("text")(render_text)


SUFFIXES = {".htm": "html", ".html": "html", ".md": "markdown", ".tex": "latex", ".json": "json", ".csv": "csv"}


def format_of(path: Path) -> str:
    """Return the format that a file's suffix names, text for any other."""
    return SUFFIXES.get(path.suffix.lower(), "text")


def render(result: ComparisonResult, name: str = "text", screen: Screen | None = None) -> str:
    """Return a result as text of a format, ending in one line break; raises UserError for an unknown format."""
    renderer = formats[name]
    return render_text(result, screen) if renderer is render_text else renderer(result)

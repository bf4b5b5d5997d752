"""The result as JSON, for scripts."""

import json

from distilkit.comparison.render.registry import Screen, formats
from distilkit.comparison.result import ComparisonResult


@formats.register("json")
def render_json(result: ComparisonResult, screen: Screen) -> str:
    """Return the result's plain value as indented JSON, in ASCII so that any terminal prints it."""
    return json.dumps(result.to_json(), indent=2, allow_nan=False) + "\n"

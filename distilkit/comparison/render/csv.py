"""The result as one table of comma-separated values, for spreadsheets and data frames."""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from distilkit.comparison.render.registry import Screen, formats
from distilkit.comparison.result import Comparison, ComparisonResult, SystemMean

_MEAN = ("system", "measure", "n", "mean", "mean_ci_low", "mean_ci_high", "superscripts")
_COMPARISON = tuple(field.name for field in fields(Comparison) if field.name not in ("system", "measure", "n"))


@formats.register("csv")
def render_csv(result: ComparisonResult, screen: Screen) -> str:
    """Return a row per system, measure and baseline it is compared with.

    A system that is compared with none, such as the only baseline, has one row with these columns empty. Numbers are
    written so that they read back equal; what has no value is empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_MEAN, *_COMPARISON], restval="", lineterminator="\n")
    writer.writeheader()
    for one in result.systems:
        mean = _mean(one)
        for comparison in _comparisons(result, one):
            writer.writerow(mean | comparison)
    return text.getvalue()


def _mean(one: SystemMean) -> dict[str, Any]:
    return dict(
        zip(_MEAN, (one.name, one.measure, one.n, one.mean, one.ci_low, one.ci_high, one.superscripts), strict=True)
    )


def _comparisons(result: ComparisonResult, system: SystemMean) -> Iterator[dict[str, Any]]:
    found = [one for one in result.comparisons if (one.system, one.measure) == (system.name, system.measure)]
    for one in found:
        values = asdict(one)
        yield {name: values[name] for name in _COMPARISON}
    if not found:
        yield {}

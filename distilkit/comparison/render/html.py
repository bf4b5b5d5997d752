"""The result as one HTML page that needs no network: tables, plots, single queries, configurations, policy."""

import json
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import Any

from distilkit.comparison.render import verdict, wording
from distilkit.comparison.render.registry import Screen, formats
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.tables.table import Head


@formats.register("html")
def render_html(result: ComparisonResult, screen: Screen) -> str:
    """Return a self-contained page; without tables asked for it has all that there are data for."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    from distilkit.comparison import plots
    from distilkit.comparison.render.drill import differing, drill, versions
    from distilkit.comparison.tables.build import available
    from distilkit.comparison.tables.means import comparisons, means

    environment = Environment(
        loader=PackageLoader("distilkit.comparison.render"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = wording.visible
    environment.filters["grouped"] = _grouped
    page = resources.files("distilkit.comparison.render") / "templates"
    runs, changed = differing(result) if result.sources else ([], [])
    template = environment.get_template("report.html")
    return (
        template.render(
            title=_title(result),
            style=Markup((page / "report.css").read_text(encoding="utf-8")),
            script=Markup((page / "report.js").read_text(encoding="utf-8")),
            means=means(result),
            verdicts=verdict.verdicts(result),
            legend=wording.legend(result),
            columns=wording.columns(result) if result.comparisons else [],
            policy=wording.policy(result),
            comparisons=list(comparisons(result, full=True)),
            tables=result.tables or (available(result) if result.sources else []),
            plots=[(name, Markup(svg)) for name, svg in plots.inline(result)] if result.sources else [],
            drill=Markup(_json(drill(result) if result.sources else [])),
            runs=runs,
            changed=changed,
            versions=versions(result) if result.sources else [],
        )
        + "\n"
    )


def _grouped(heads: Sequence[Head]) -> list[tuple[str, int]]:
    """Return each group of heads beside each other with how many columns it spans."""
    return [(group, len(list(members))) for group, members in groupby(heads, key=lambda head: head.group)]


def _title(result: ComparisonResult) -> str:
    names = result.names
    systems = f"{len(names)} systems" if len(names) > 3 else ", ".join(names)
    sets = ", ".join(str(name) for name in result.policies() if name)
    return f"{systems} on {sets}" if sets else systems


def _json(value: Any) -> str:
    """Return JSON that may stand inside a script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

"""The result as one HTML page that needs no network: tables, plots, single queries, configurations, policy."""

import json
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import Any

from distilkit.comparison import run_files, sentences, wording
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System
from distilkit.comparison.table import ColumnHead
from distilkit.runs.folder import versions as current_versions
from distilkit.runs.record import flat

TOP = 20
"""Ranks of a system that are shown."""
RESULTS = 150_000
"""Results in all that a page may hold; beyond, the queries on which systems differ most have theirs."""
VALUES = 600_000


def render_html(result: ComparisonResult) -> str:
    """Return a self-contained page; without tables asked for it has all that there are data for."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
    from markupsafe import Markup

    from distilkit.comparison import plots
    from distilkit.comparison.tables import available
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
            verdicts=sentences.verdicts(result),
            legend=sentences.legend(result),
            columns=sentences.columns(result) if result.comparisons else [],
            policy=sentences.policy(result),
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


def _grouped(heads: Sequence[ColumnHead]) -> list[tuple[str, int]]:
    """Return each group of heads beside each other with how many columns it spans."""
    return [(group, len(list(members))) for group, members in groupby(heads, key=lambda head: head.group)]


def _title(result: ComparisonResult) -> str:
    names = result.names
    systems = f"{len(names)} systems" if len(names) > 3 else ", ".join(names)
    sets = ", ".join(str(name) for name in result.policies() if name)
    return f"{systems} on {sets}" if sets else systems


def _json(value: object) -> str:
    """Return JSON that may stand inside a script element, whatever names it holds."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def drill(result: ComparisonResult) -> list[dict[str, Any]]:
    """Return, per query set, each query's values and each system's first results with their grades."""
    names = list(dict.fromkeys(name for name, _ in result.columns))
    return [_of_set(result, name, RESULTS // len(names), VALUES // len(names)) for name in names]


def differing(result: ComparisonResult) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return the trained systems and, for each configuration key that they differ in, its value in each."""
    runs = {name: run_files.stored(one) for name, one in run_files.first_set(result).items()}
    configured = {name: flat(run.record.resolved) for name, run in runs.items() if run is not None}
    texts = [
        {key: value if isinstance(value, str) else json.dumps(value) for key, value in one.items()}
        for one in configured.values()
    ]
    keys = dict.fromkeys(key for one in texts for key in one if key not in ("name", "description"))
    rows = [(key, [one.get(key, "") for one in texts]) for key in keys]
    return list(configured), [(key, values) for key, values in rows if len(set(values)) > 1]


def versions(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return the versions that this report and the runs in it were made with, those of equal versions together."""
    found = {_listed(current_versions()): ["this report"]}
    for name, system in run_files.first_set(result).items():
        if (run := run_files.stored(system)) is not None:
            found.setdefault(_listed(run.record.versions), []).append(name)
    return [(", ".join(names), text) for text, names in found.items()]


def _listed(packages: dict[str, Any]) -> str:
    return ", ".join(f"{package} {version}" for package, version in packages.items())


def _of_set(result: ComparisonResult, eval_set: str | None, results: int, values: int) -> dict[str, Any]:
    systems = list(run_files.of_set(result, eval_set).values())
    measures = [measure for name, measure in result.columns if name == eval_set]
    queries = sorted(set.intersection(*(set(one.per_query[measures[0]]) for one in systems)))
    queries.sort(key=lambda query: -_spread(systems, measures[0], query))
    shown = queries[: max(1, values // (len(systems) * len(measures)))]
    ranked = shown[: max(1, results // (len(systems) * TOP))]
    return {
        "set": eval_set,
        "measures": measures,
        "systems": [one.name for one in systems],
        "total": len(queries),
        "queries": [
            {
                "id": query,
                "values": [[round(one.per_query[measure][query], 4) for one in systems] for measure in measures],
                **(_rankings(systems, query) if place < len(ranked) else {}),
            }
            for place, query in enumerate(shown)
        ],
    }


def _spread(systems: Sequence[System], measure: str, query: str) -> float:
    values = [one.per_query[measure][query] for one in systems]
    return max(values) - min(values)


def _rankings(systems: Sequence[System], query: str) -> dict[str, Any]:
    """Return the documents that any system has among its first, with grades, and each system's places in them."""
    places: dict[str, int] = {}
    rankings: list[list[list[Any]] | None] = []
    for system in systems:
        run = run_files.ranking(system)
        if run is None:
            rankings.append(None)
            continue
        found = run.get(query, [])[:TOP]
        rankings.append(
            [[places.setdefault(document, len(places)), float(f"{score:.5g}")] for document, score in found]
        )
    qrels = run_files.judgements(systems[0]) or {}
    grades = qrels.get(query, {})
    return {"documents": [[document, grades.get(document)] for document in places], "rankings": rankings}

"""The result as one HTML page that needs no network: answer, tables, plots, single queries, settings, policy."""

import json
import time
from collections.abc import Sequence
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any

from distilkit.comparison import answer_words, forest, run_files, sentences, wording
from distilkit.comparison.render.drill import drill
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import ColumnHead
from distilkit.comparison.tables.means import comparisons, means
from distilkit.run_folders.folder import versions as current_versions
from distilkit.run_folders.names import fitted
from distilkit.run_folders.record import flat, text

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_DRAWN_HERE = ("forest",)
"""The plots that the page draws itself."""
_NAME = 52
"""The characters of a name beside the forest plot."""


def render_html(result: ComparisonResult) -> str:
    """Return a self-contained page; without tables asked for it has all that there are data for."""
    from markupsafe import Markup

    from distilkit.comparison import plots
    from distilkit.comparison.tables import available, beside

    template = _template("report.html")
    return (
        template.render(
            title=_title(result),
            facts=_facts(result),
            style=_files("forest.css", "report.css"),
            script=_files("report.js"),
            **_answer(result),
            verdicts=sentences.verdicts(result),
            legend=sentences.legend(result),
            columns=sentences.columns(result) if result.comparisons else [],
            policy=sentences.policy(result),
            comparisons=list(comparisons(result, full=True)),
            tables=beside(result) if result.tables else (available(result) if result.sources else []),
            plots=[(name, Markup(svg)) for name, svg in plots.inline(result, _DRAWN_HERE)] if result.sources else [],
            drill=Markup(_json(drill(result) if result.sources else [])),
            changed=differing(result) if result.sources else [],
            versions=versions(result) if result.sources else [],
        )
        + "\n"
    )


def render_fragment(result: ComparisonResult) -> str:
    """Return what a notebook shows of a comparison: answer and forest plot, the means, and each comparison."""
    told = (*sentences.verdicts(result), *sentences.legend(result))
    columns = sentences.columns(result) if result.comparisons else []
    return _template("notebook.html").render(
        style=_files("forest.css"),
        **_answer(result),
        comparisons=list(comparisons(result)),
        notes=[*told, *columns, *sentences.policy(result)],
    )


def _answer(result: ComparisonResult) -> dict[str, Any]:
    """Return what a page begins with: the answer in words, the forest plot and the means."""
    return {
        "answer": answer_words.answer(result),
        "forest": forest_rows(result),
        "forest_title": answer_words.plot_title(result, result.answer) if result.answer is not None else "",
        "forest_legend": answer_words.plot_legend(result),
        "means": means(result),
    }


def _files(*names: str) -> "Markup":
    """Return the content of files beside the templates, as it stands in a page."""
    from markupsafe import Markup

    folder = resources.files("distilkit.comparison.render") / "templates"
    return Markup("\n".join((folder / name).read_text(encoding="utf-8") for name in names))


def _template(name: str) -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("distilkit.comparison.render"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = wording.visible
    environment.filters["grouped"] = _grouped
    return environment.get_template(name)


def _grouped(heads: Sequence[ColumnHead]) -> list[tuple[str, int]]:
    """Return each group of heads beside each other with how many columns it spans."""
    return [(group, len(list(members))) for group, members in groupby(heads, key=lambda head: head.group)]


def _title(result: ComparisonResult) -> str:
    names = [result.short[name] for name in result.names]
    systems = f"{len(names)} systems" if len(names) > 3 else ", ".join(names)
    on = _data_sets(result) or [str(name) for name in result.policies() if name]
    return f"{systems} on {', '.join(on)}" if on else systems


def _data_sets(result: ComparisonResult) -> list[str]:
    """Return the names of the collections that the runs were measured on."""
    runs = [run for system in result.sources if (run := run_files.stored(system)) is not None]
    return list(dict.fromkeys(name for run in runs if (name := text(run.record.data.get("name")))))


def _facts(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return what stands below the title: query sets, queries, baselines, test, date."""
    policies = result.policies()
    sets = ", ".join(f"{name} ({facts['n']} queries)" for name, facts in policies.items() if name)
    found = [("Query set", sets)] if sets else [("Queries", str(result.policy["n"]))]
    if result.comparisons:
        found += [
            ("Baseline", ", ".join(result.short[name] for name in result.baselines)),
            ("Margin", wording.amount(result)),
            ("Test", f"{wording.test_name(result)}, {sentences.family(result)}"),
        ]
    return [*found, ("Date", time.strftime("%Y-%m-%d"))]


def forest_rows(result: ComparisonResult) -> list[dict[str, Any]]:
    """Return the lines of the forest plot, places as shares of its width in percent; empty for a single system."""
    answer = result.answer
    if answer is None or len(answer.ranking) < 2:
        return []
    within = forest.scale(answer)
    names = fitted([wording.visible(result.short[line.name]) for line in answer.forest], _NAME)

    def at(value: float) -> float:
        return round(100 * within.share(value), 2)

    def span(low: float | None, high: float | None) -> tuple[float, float] | None:
        return None if low is None or high is None else (at(low), max(0.1, round(at(high) - at(low), 2)))

    return [
        {
            "short": result.short[line.name],
            "name": names[wording.visible(result.short[line.name])],
            "mean": wording.number(line.mean),
            "difference": wording.signed(line.difference),
            "verdict": answer_words.verdict(result, line),
            "kind": line.verdict,
            "baseline": line.name == answer.baseline,
            "band": span(answer.margin_low, 0.0),
            "zero": at(0.0),
            "interval": span(line.ci_low, line.ci_high),
            "decides": span(line.margin_low, line.margin_high),
            "beyond": forest.beyond(line, within),
            "point": at(line.difference) if within.low <= line.difference <= within.high else None,
            "edges": [f"{value:+.2g}" for value in (within.low, within.high)],
        }
        for line in answer.forest
    ]


def _json(value: object) -> str:
    """Return JSON that may stand inside a script element, whatever names it holds."""
    found = json.dumps(value, separators=(",", ":"))
    return found.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def differing(result: ComparisonResult) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each configuration key that trained systems differ in, with each of its values and who has it."""
    runs = {name: run_files.stored(one) for name, one in run_files.first_set(result).items()}
    stored = {name: run for name, run in runs.items() if run is not None}
    own = (key for run in stored.values() for key in flat(run.record.resolved))
    keys = dict.fromkeys(key for key in own if key not in ("name", "description"))
    configured = {name: run_files.settings(run) for name, run in stored.items()}
    texts = {
        name: {key: value if isinstance(value, str) else json.dumps(value) for key, value in one.items()}
        for name, one in configured.items()
    }
    found = []
    for key in keys:
        values: dict[str, list[str]] = {}
        for name, one in texts.items():
            values.setdefault(one.get(key, "(not set)"), []).append(result.short[name])
        if len(values) > 1:
            found.append((key, [(value, ", ".join(names)) for value, names in values.items()]))
    return found


def versions(result: ComparisonResult) -> list[tuple[str, str]]:
    """Return the versions that this report and the runs in it were made with, those of equal versions together."""
    found = {_listed(current_versions()): ["this report"]}
    for name, system in run_files.first_set(result).items():
        if (run := run_files.stored(system)) is not None:
            found.setdefault(_listed(run.record.versions), []).append(result.short[name])
    return [(", ".join(names), packages) for packages, names in found.items()]


def _listed(packages: dict[str, Any]) -> str:
    return ", ".join(f"{package} {version}" for package, version in packages.items())

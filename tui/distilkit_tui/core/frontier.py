"""Effectiveness against cost: who is on the frontier, and who is dominated by whom."""

from dataclasses import dataclass
from typing import Any

from distilkit.comparison import evidence
from distilkit.comparison.result import Column, ComparisonResult

AXES = {"ms": "ms/query", "macs": "MACs/pair"}
KEYS = {"ms": ("ms_per_query", "p50"), "macs": ("macs_per_pair",)}


@dataclass(frozen=True)
class Point:
    """A system: its mean and interval, its costs (None where it states none), and who dominates it ("": nobody)."""

    name: str
    mean: float
    low: float | None
    high: float | None
    costs: dict[str, float | None]
    parameters: float | None
    dominated: str = ""


def points(result: ComparisonResult, column: Column, axis: str) -> list[Point]:
    """Return the systems of a column, the cheapest first; those without a cost come last."""
    found = []
    for name, system in evidence.of_set(result, column[0]).items():
        mean = result.find(name, column)
        if mean is not None:
            costs = {one: evidence.cost(system, *keys) for one, keys in KEYS.items()}
            parameters = evidence.cost(system, "parameters")
            found.append(Point(name, mean.mean, mean.ci_low, mean.ci_high, costs, parameters))
    marked = [Point(**{**vars(one), "dominated": _dominator(one, found, axis)}) for one in found]
    return sorted(marked, key=lambda one: (not one.costs[axis], one.costs[axis] or 0.0, -one.mean))


def caveat(result: ComparisonResult, column: Column) -> str:
    """Return why times cannot be held against each other, "" where they can."""
    costs = [evidence.costs(system) for system in evidence.of_set(result, column[0]).values()]
    timed = [one for one in costs if isinstance(one.get("ms_per_query"), dict) and one["ms_per_query"].get("p50")]
    depths = {one.get("depth") for one in timed}
    hosts = {str(_host(one)) for one in timed}
    parts = [f"depths {', '.join(map(str, sorted(depths, key=str)))}"] if len(depths) > 1 else []
    parts += [f"{len(hosts)} machines"] if len(hosts) > 1 else []
    return f"timed at {' and on '.join(parts)}: t shows multiply-accumulates, which compare" if parts else ""


def _host(cost: dict[str, Any]) -> Any:
    machine = cost.get("machine")
    return machine.get("host") if isinstance(machine, dict) else None


def _dominator(one: Point, others: list[Point], axis: str) -> str:
    """Return the best system that is no dearer and no worse than a point, and better in one of the two."""
    cost = one.costs[axis]
    if not cost:
        return ""
    better = [
        other
        for other in others
        if (price := other.costs[axis])
        and price <= cost
        and other.mean >= one.mean
        and (price < cost or other.mean > one.mean)
    ]
    return max(better, key=lambda other: other.mean).name if better else ""

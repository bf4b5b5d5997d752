"""One run in full, for `distilkit show`."""

from typing import Any

from distilkit.evaluation.results import read_measures
from distilkit.files import read_json
from distilkit.runs.folder import RunFolder
from distilkit.runs.state import derive, read_record, read_status
from distilkit.tables import plain


def describe(folder: RunFolder) -> dict[str, Any]:
    """Return what is known of a run: record, state, choices, measures and cost by query set."""
    record, status = read_record(folder), read_status(folder)
    sets = {}
    for place in sorted(folder.eval.glob("*/measures.json")):
        cost = place.parent / "cost.json"
        sets[place.parent.name] = {**read_measures(place), "cost": read_json(cost) if cost.exists() else None}
    grid = folder.path / "grid.json"
    return {
        "path": str(folder.path),
        "state": derive(folder, record, status),
        "status": status,
        "grid": read_json(grid) if grid.exists() else None,
        "sets": sets,
        **record,
    }


def to_text(found: dict[str, Any]) -> str:
    """Return a run for people."""
    status, data = found["status"], found["data"]
    lines = [
        f"{found['name']}: {found['state']}",
        f"  folder      {found['path']}",
        f"  strategy    {found['strategy']}",
        f"  student     {found['student']}, seed {found['seed']}",
        f"  collection  {data['name']}, fingerprint {data['fingerprint'][:12]}",
        f"  started     {found['created']} with distilkit {found['versions']['distilkit']}",
    ]
    if found["twin"]:
        lines.append(f"  twin        {found['twin']}")
    if found["state"] != "done" and status.get("total"):
        lines.append(f"  phase       {status.get('phase')}: {status['step']}/{status['total']}")
    if status.get("exit", {}).get("error"):
        lines.append(f"  ended       {status['exit']['error']}")
    if found["grid"]:
        lines.append(f"  chosen      {found['grid']['chosen']} by {found['grid']['measure']} on validation")
    for name, one in found["sets"].items():
        measures = ", ".join(f"{measure} {value:.4f}" for measure, value in one["measures"].items())
        lines.append(f"  {name:<11} {measures} ({one['n']} queries)")
        if cost := one["cost"]:
            per_query = cost["ms_per_query"]["p50"]
            shown = "" if per_query is None else f", {per_query:.1f} ms a query at depth {cost['depth']}"
            spent = sum(cost["training_seconds"].values())
            lines.append(f"  {'cost':<11} {cost['parameters']:,} parameters{shown}, {spent:.0f} s of training")
    changed = [f"  {line}" for line in found["overrides"]]
    if changed:
        lines += ["  overrides", *[f"  {line}" for line in changed]]
    return "\n".join(plain(line) for line in lines)

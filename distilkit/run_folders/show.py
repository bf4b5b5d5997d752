"""One run in full, for `distilkit show`."""

from dataclasses import asdict
from typing import Any

from distilkit.manifest import refuse_damage
from distilkit.run_folders.read import StoredRun
from distilkit.run_folders.record import numbers, text
from distilkit.run_folders.results import StoredResults
from distilkit.run_folders.suites import LIVE
from distilkit.tables import plain


def describe(run: StoredRun) -> dict[str, Any]:
    """Return what is known of a run: its record, state, choices, and measures and cost by query set."""
    status = run.status()
    measured = {name: (results.measures(), results.cost()) for name, results in whole_results(run).items()}
    sets = {name: {**asdict(means), "cost": cost.raw or None} for name, (means, cost) in measured.items() if means}
    return {
        "path": str(run.path),
        "state": run.state(status),
        "status": status.raw,
        "grid": run.grid() or None,
        "agreement": run.agreement() or None,
        "sets": sets,
        **run.record.raw,
    }


def to_text(run: StoredRun) -> str:
    """Return a run for people."""
    record, status, state = run.record, run.status(), run.state()
    lines = [
        f"{record.name}: {state}",
        f"  folder      {run.path}",
        f"  strategy    {record.strategy}",
        f"  student     {record.student}, seed {record.seed}",
        f"  collection  {text(record.data.get('name'))}, fingerprint {text(record.data.get('fingerprint'))[:12]}",
        f"  started     {record.created} with distilkit {record.versions.get('distilkit')}",
    ]
    lines += [f"  twin        {record.twin}"] if record.twin else []
    if state in LIVE and status.waiting:
        lines.append(f"  waiting     for another run that is building the same {status.waiting.partition('/')[0]}")
    elif state != "done" and status.total:
        lines.append(f"  phase       {status.phase}: {status.step}/{status.total}")
    lines += [f"  ended       {status.error}"] if status.error else []
    if grid := run.grid():
        lines.append(f"  chosen      {grid['chosen']} by {grid['measure']} on validation")
    for name, results in whole_results(run).items():
        lines += _set(name, results)
    if agreed := run.agreement():
        figures = ", ".join(f"{name} {value:.4f}" for name, value in numbers(agreed["measures"]).items())
        lines.append(f"  agreement   with the teacher, not a measure of effectiveness: {figures}")
    if record.overrides:
        lines += ["  overrides", *(f"    {line}" for line in record.overrides)]
    return "\n".join(plain(line) for line in lines)


def whole_results(run: StoredRun) -> dict[str, StoredResults]:
    """Return the student's results by query set; raises UserError where any are damaged."""
    found = run.all_results()
    for results in found.values():
        refuse_damage(results.path)
    return found


def _set(name: str, results: StoredResults) -> list[str]:
    """Return the lines of a query set: the student's measures, and what it costs."""
    found, cost = results.measures(), results.cost()
    if found is None:
        return []
    figures = ", ".join(f"{measure} {value:.4f}" for measure, value in found.measures.items())
    lines = [f"  {name:<11} {figures} ({found.n} queries)"]
    if cost.parameters is not None:
        speed = "" if cost.ms_per_query is None else f", {cost.ms_per_query:.1f} ms a query at depth {cost.depth}"
        spent = sum(cost.training_seconds.values())
        lines.append(f"  {'cost':<11} {cost.parameters:,.0f} parameters{speed}, {spent:.0f} s of training")
    return lines

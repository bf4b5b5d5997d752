"""Effectiveness and what it costs: parameters, multiply-accumulates, latency, memory, storage."""

from collections.abc import Callable

from distilkit.comparison import run_files
from distilkit.comparison.render.wording import NOTHING
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.system import System
from distilkit.comparison.tables.means import mean_cell
from distilkit.comparison.tables.table import EMPTY, Cell, Head, Table, label

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def cost(result: ComparisonResult) -> Table | None:
    """Return the first set's means beside each system's cost; None where no system states any.

    Speed-ups are relative to the teacher, else to the slowest system.
    """
    systems = {name: system for name, system in run_files.first_set(result).items() if run_files.first_cost(system).raw}
    if not systems:
        return None
    columns = [column for column in result.columns if column[0] == result.columns[0][0]]
    figures = [
        (Head("parameters"), _column(systems, amount, "parameters")),
        (Head("MACs"), _column(systems, amount, "macs_per_pair")),
        (Head("MACs speed-up"), _speedup(systems, "macs_per_pair")),
        (Head("ms/query"), _column(systems, _milliseconds, "ms_per_query")),
        (Head("speed-up"), _speedup(systems, "ms_per_query")),
        (Head("peak memory"), _column(systems, size, "peak_memory_bytes")),
        (Head("bytes/document"), _column(systems, size, "bytes_per_document")),
    ]
    shown = [(head, cells) for head, cells in figures if any(cell.value is not None for cell in cells.values())]
    return Table(
        "cost",
        "Effectiveness and cost",
        (Head("System"), *(Head(measure) for _, measure in columns), *(head for head, _ in shown)),
        tuple(
            (label(name), *(mean_cell(result, name, one) for one in columns), *(cells[name] for _, cells in shown))
            for name in systems
        ),
        tuple(_notes(systems)),
    )


def in_words(result: ComparisonResult) -> list[str]:
    """Return a sentence per trained student on its size and speed beside the teacher's, where both state them."""
    systems = run_files.first_set(result)
    teacher = next((system for system in systems.values() if system.kind == "teacher"), None)
    told = []
    for name, system in systems.items():
        parameters = run_files.cost(system, "parameters")
        if teacher is None or system.kind != "run" or parameters is None:
            continue
        parts = [f"{amount(parameters)} parameters"]
        for key, unit in (("ms_per_query", "ms per query"), ("macs_per_pair", "MACs per pair")):
            own, other = run_files.cost(system, key), run_files.cost(teacher, key)
            if own and other:
                show = _milliseconds if "ms" in unit else amount
                ratio = f"{other / own:.3g}x less" if own <= other else f"{own / other:.3g}x more"
                parts.append(f"{show(own)} {unit} ({ratio} than the teacher's {show(other)})")
        told.append(f"{name} costs {', '.join(parts)}.")
    return told


def amount(value: float) -> str:
    """Return a count with the letter of its thousands: `22.9G`."""
    unit, letter = next(((unit, letter) for unit, letter in _UNITS if value >= unit), (1, ""))
    return f"{value / unit:.3g}{letter}" if letter else f"{value:.0f}"


def size(value: float) -> str:
    """Return a number of bytes: `490 MiB`."""
    unit, name = next(((unit, name) for unit, name in _BYTES if value >= unit), (1, "B"))
    return f"{value / unit:.3g} {name}"


def _milliseconds(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _column(systems: dict[str, System], show: Callable[[float], str], key: str) -> dict[str, Cell]:
    found = {name: run_files.cost(system, key) for name, system in systems.items()}
    return {name: EMPTY if value is None else Cell(value, show(value)) for name, value in found.items()}


def _speedup(systems: dict[str, System], key: str) -> dict[str, Cell]:
    found = {name: run_files.cost(system, key) for name, system in systems.items()}
    slowest = max((value for value in found.values() if value), default=0.0)
    reference = found.get("teacher") or slowest
    return {
        name: Cell(reference / value, f"{reference / value:.3g}x") if value and reference else EMPTY
        for name, value in found.items()
    }


def _notes(systems: dict[str, System]) -> list[str]:
    """Return what the figures were measured on, which they are to be compared by."""
    costs = [run_files.first_cost(system) for system in systems.values()]
    machines = {
        ", ".join(str(one.machine[key]) for key in ("host", "cpu", "device") if one.machine.get(key))
        for one in costs
        if one.raw.get("ms_per_query") and one.machine
    }
    depths, lengths = {one.depth for one in costs if one.depth}, {one.length for one in costs if one.length}
    parts = [f"MACs: multiply-accumulates of a pair at length {_listed(lengths)}"] if lengths else []
    parts += [f"ms/query: median of re-ranking {_listed(depths)} candidates on {_listed(machines)}"] if depths else []
    parts += ["speed-ups: relative to the teacher" if "teacher" in systems else "speed-ups: relative to the slowest"]
    warning = (
        ["Latencies of different machines or depths cannot be compared."] if len(machines) * len(depths) > 1 else []
    )
    return ["; ".join(parts) + ".", *warning]


def _listed(values: set[int] | set[str]) -> str:
    return " and ".join(sorted(str(value) for value in values)) or NOTHING

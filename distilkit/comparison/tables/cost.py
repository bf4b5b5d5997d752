"""The cost of systems: parameters, multiply-accumulates, latency, memory, storage, time and examples of training."""

import math
from collections.abc import Callable, Iterable, Sequence

from distilkit.comparison import run_files
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import System
from distilkit.comparison.table import EMPTY, Cell, ColumnHead, ResultTable, label
from distilkit.comparison.tables.means import bound_rows, mean_cell
from distilkit.comparison.wording import NOTHING, number
from distilkit.run_folders.record import Cost, JsonObject, as_table
from distilkit.run_folders.record import number as finite

Row = tuple[Cell, ...]

_NAMED = 6
"""More systems of equal costs than this are counted, not named."""
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def cost(result: ComparisonResult) -> ResultTable | None:
    """Return the first set's means beside each system's cost; None where no system states any.

    MACs speed-ups are relative to the teacher, else to the system with the most. A latency's is that of the rounds in
    which the system and its teacher were timed by turns; it is left out where their spread covers 1.
    """
    systems = {name: system for name, system in run_files.first_set(result).items() if run_files.first_cost(system).raw}
    if not systems:
        return None
    columns = [column for column in result.columns if column[0] == result.columns[0][0]]
    figures = [
        (ColumnHead("parameters"), _column(systems, amount, "parameters")),
        (ColumnHead("weights"), _column(systems, size, "weight_bytes")),
        (ColumnHead("MACs"), _column(systems, amount, "macs_per_pair")),
        (ColumnHead("MACs speed-up"), _speedup(systems, "macs_per_pair")),
        (ColumnHead("ms/query"), _column(systems, _milliseconds, "ms_per_query")),
        (ColumnHead("times faster"), {name: _faster(run_files.speed(system)) for name, system in systems.items()}),
        (ColumnHead("peak memory"), _column(systems, size, "peak_memory_bytes")),
        (ColumnHead("bytes/document"), _column(systems, size, "bytes_per_document")),
    ]
    shown = [(head, cells) for head, cells in figures if any(cell.value is not None for cell in cells.values())]
    return ResultTable(
        "cost",
        "Effectiveness and cost",
        (ColumnHead("System"), *(ColumnHead(measure) for _, measure in columns), *(head for head, _ in shown)),
        (
            *(
                (
                    label(name, result.short[name]),
                    *(mean_cell(result, name, one) for one in columns),
                    *(cells[name] for _, cells in shown),
                )
                for name in systems
            ),
            *((*row, *(EMPTY for _ in shown)) for row in bound_rows(result.bounds, columns)),
        ),
        tuple(_notes(result, systems)),
    )


def in_words(result: ComparisonResult) -> list[str]:
    """Return a sentence on the size and speed of each student beside its teacher's, where both state them.

    A student is what was trained here, or a bare run file with a cost beside it. Those of equal costs share a sentence.
    """
    systems = run_files.first_set(result)
    teachers = [system for system in systems.values() if system.kind == "teacher"]
    told: dict[str, list[str]] = {}
    for name, system in systems.items():
        if teachers and system.kind in ("run", "file") and (costs := _costs_in_words(result, system, teachers)):
            told.setdefault(costs, []).append(result.short[name])
    return [
        f"{names[0]} costs {costs}." if len(names) == 1 else f"{_enumerated(names)} each cost {costs}."
        for costs, names in told.items()
    ]


def _costs_in_words(result: ComparisonResult, system: System, teachers: Sequence[System]) -> str:
    """Return what a system costs; empty where it does not say so."""
    parameters = run_files.cost(system, "parameters")
    if parameters is None:
        return ""
    weights = run_files.cost(system, "weight_bytes")
    parts = [f"{amount(parameters)} parameters{f' of {size(weights)}' if weights else ''}"]
    own, other = run_files.cost(system, "macs_per_pair"), _macs_of_teacher(system, teachers)
    if own and other:
        ratio = f"{other / own:.3g} times fewer" if own <= other else f"{own / other:.3g} times more"
        parts.append(f"{amount(own)} multiply-accumulates per pair ({ratio} than {_teacher(result)}'s {amount(other)})")
    if milliseconds := run_files.cost(system, "ms_per_query"):
        parts.append(f"{_milliseconds(milliseconds)} ms per query{_beside(result, run_files.speed(system))}")
    return ", ".join(parts)


def _macs_of_teacher(system: System, teachers: Sequence[System]) -> float | None:
    """Return what a pair costs the system's own teacher; a bare run file's is the only one that there is."""
    if len(teachers) == 1:
        return run_files.cost(teachers[0], "macs_per_pair")
    results = system.origins[0].results if system.origins else None
    return results.reference("teacher").cost().macs_per_pair if results is not None else None


def _enumerated(names: Sequence[str]) -> str:
    """Return names as a sentence lists them; of many the first ones, and how many more there are."""
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _beside(result: ComparisonResult, speed: run_files.Speed | None) -> str:
    """Return a latency beside the teacher's in words, with the spread over the rounds that both were timed in."""
    if speed is None:
        return ""
    rounds, other = f"in {speed.rounds} interleaved rounds", _named(result, speed.beside)
    if not speed.differs:
        between = f"{speed.low:.3g} to {speed.high:.3g} times this"
        return f" (no clear difference to {other}, whose time was {between} {rounds})"
    if speed.median > 1:
        return f" ({speed.median:.3g} times faster than {other}, {speed.low:.3g} to {speed.high:.3g} {rounds})"
    slower = f"{1 / speed.median:.3g} times slower than {other}"
    return f" ({slower}, {1 / speed.high:.3g} to {1 / speed.low:.3g} {rounds})"


def _named(result: ComparisonResult, beside: str) -> str:
    """Return how a report names what a system was timed beside: its teacher, or another system of the report."""
    if beside == run_files.TEACHER or result.kinds.get(beside) == "teacher":
        return _teacher(result)
    return result.short.get(beside, beside)


def _teacher(result: ComparisonResult) -> str:
    """Return what a report calls the teacher of a system."""
    several = sum(kind == "teacher" for kind in result.kinds.values()) > 1
    return "its teacher" if several else run_files.TEACHER


def _faster(speed: run_files.Speed | None) -> Cell:
    if speed is None or not speed.differs:
        return EMPTY
    return Cell(speed.median, f"{speed.median:.3g}x ({speed.low:.3g}-{speed.high:.3g})")


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


def _notes(result: ComparisonResult, systems: dict[str, System]) -> list[str]:
    """Return the notes on the length, re-ranking depth and machine that the figures were measured with."""
    costs = [run_files.first_cost(system) for system in systems.values()]
    machines = {_machine(one.machine) for one in costs if one.ms_per_query and one.machine}
    timed = [one for one in costs if one.ms_per_query]
    depths, lengths = {one.depth for one in timed if one.depth}, {one.length for one in costs if one.length}
    parts = [f"MACs: multiply-accumulates of a pair at length {_listed(lengths)}"] if lengths else []
    parts += [f"ms/query: median of re-ranking {_listed(depths)} candidates on {_listed(machines)}"] if depths else []
    reference = "the teacher" if "teacher" in systems else "the system with the most"
    parts += [f"MACs speed-up: relative to {reference}"]
    beside = {_named(result, speed.beside) for system in systems.values() if (speed := run_files.speed(system))}
    if beside:
        parts += [
            f"times faster: than {_listed(beside)}, the median of the rounds in which both were timed by turns, and "
            "the least and most of them; left out where these lie on both sides of 1"
        ]
    return ["; ".join(parts) + ".", *([_session(systems, timed)] if timed else [])]


def _session(systems: dict[str, System], timed: Sequence[Cost]) -> str:
    """Return whether latencies were measured together, so that rows can be held against each other."""
    if not run_files.timed_together(systems.values()):
        return (
            "Latencies of this table were not all measured together, so ms/query of two rows cannot be held against "
            "each other; distilkit compare with --latency measures them anew, by turns."
        )
    rounds = max((len(found) for one in timed if isinstance(found := one.latency.get("own_ms"), list)), default=0)
    return (
        f"All latencies were measured together, by turns in {rounds} rounds in one process; systems that compute the "
        "same, such as one student trained in two ways, were timed once."
    )


def _machine(told: JsonObject) -> str:
    """Return the machine that latencies were measured on, with the threads that it took."""
    parts = [str(told[key]) for key in ("host", "cpu", "device") if told.get(key)]
    threads = told.get("threads")
    return ", ".join([*parts, *([f"{threads} thread{'' if threads == 1 else 's'}"] if threads else [])])


def _listed(values: set[int] | set[str]) -> str:
    return " and ".join(sorted(str(value) for value in values)) or NOTHING


def training(result: ComparisonResult) -> ResultTable | None:
    """Return each trained system's seconds by stage, their total and its ratio to the fastest; None without any."""
    spent = {
        name: times
        for name, system in run_files.first_set(result).items()
        if (times := run_files.seconds_by_stage(system))
    }
    if not spent:
        return None
    stages = list(dict.fromkeys(stage for times in spent.values() for stage in times))
    totals = {name: math.fsum(times.values()) for name, times in spent.items()}
    fastest = min(totals.values())
    teachers = {name: run_files.cost(run_files.first_set(result)[name], "teacher_seconds") for name in spent}
    with_teacher = any(value is not None for value in teachers.values())
    heads = [ColumnHead("System"), *(ColumnHead(stage) for stage in stages), ColumnHead("total"), ColumnHead("ratio")]
    rows: list[Row] = []
    for name, times in spent.items():
        ratio = totals[name] / fastest if fastest else None
        row = [label(name, result.short[name]), *(_time(times.get(stage)) for stage in stages), _time(totals[name])]
        row.append(EMPTY if ratio is None else Cell(ratio, f"{ratio:.2f}x"))
        rows.append((*row, *((_time(teachers[name]),) if with_teacher else ())))
    heads += [ColumnHead("teacher")] if with_teacher else []
    rows, heads, close = _with_time_to_come_close(result, rows, heads)
    note = "Training time by stage, mean over the seeds; ratio: to the fastest. A teacher is trained once and shared."
    return ResultTable("training", "Training time", tuple(heads), tuple(rows), (note, *close))


def _with_time_to_come_close(
    result: ComparisonResult, rows: list[Row], heads: list[ColumnHead]
) -> tuple[list[Row], list[ColumnHead], list[str]]:
    """Add the time until validation first came close to the teacher (Gao et al., table 3), where runs state it."""
    curves = [run_files.curves(run_files.first_set(result)[str(row[0].value)]) for row in rows]
    shares = {one["within"] for seeds in curves for one in seeds if isinstance(one.get("within"), int | float)}
    if not shares:
        return rows, heads, []
    times = [_time(_mean_time(as_table(one.get("first_within")).get("seconds") for one in seeds)) for seeds in curves]
    share = " or ".join(f"{share:.0%}" for share in sorted(shares))
    note = f"Close: the time to the first validation within {share} of the teacher; empty where a seed had none."
    return [(*row, time) for row, time in zip(rows, times, strict=True)], [*heads, ColumnHead("close")], [note]


def _mean_time(seconds: Iterable[object]) -> float | None:
    """Return the mean over the seeds; None where one of them has no time."""
    times = [finite(one) for one in seconds]
    return None if None in times else run_files.mean(times)


def curve(result: ComparisonResult) -> ResultTable | None:
    """Return the first measure on validation by the number of training examples; None where no run has it."""
    measure = result.columns[0][1]
    lines = {
        name: dict(run_files.example_line(system, measure)) for name, system in run_files.first_set(result).items()
    }
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return None
    examples = sorted({count for line in lines.values() for count in line})
    rows = [
        (
            label(name, result.short[name]),
            *(Cell(line[one], number(line[one])) if one in line else EMPTY for one in examples),
        )
        for name, line in lines.items()
    ]
    heads = (ColumnHead("System"), *(ColumnHead(amount(one), "training examples") for one in examples))
    seeds = max(run_files.first_set(result)[name].seeds for name in lines)
    note = ("The mean over the seeds.",) if seeds > 1 else ()
    return ResultTable("curve", f"{measure} on validation queries by training examples", heads, tuple(rows), note)


def duration(seconds: float) -> str:
    """Return a time as tables do: `42.1 s`, `12.3 min`, `15.87 h`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"


def _time(seconds: float | None) -> Cell:
    return EMPTY if seconds is None else Cell(seconds, duration(seconds))

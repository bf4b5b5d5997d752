"""Training: time per stage and its ratio (Simplified TinyBERT, table 3), and effectiveness by training examples."""

import math

from distilkit.comparison import run_files
from distilkit.comparison.plots.curves import example_line
from distilkit.comparison.render.wording import number
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.tables.cost import amount
from distilkit.comparison.tables.table import EMPTY, Cell, Head, Table, label

Row = tuple[Cell, ...]


def training(result: ComparisonResult) -> Table | None:
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
    heads = [Head("System"), *(Head(stage) for stage in stages), Head("total"), Head("ratio")]
    rows: list[Row] = []
    for name, times in spent.items():
        ratio = totals[name] / fastest if fastest else None
        row = [label(name), *(_time(times.get(stage)) for stage in stages), _time(totals[name])]
        row.append(EMPTY if ratio is None else Cell(ratio, f"{ratio:.2f}x"))
        rows.append((*row, *((_time(teachers[name]),) if with_teacher else ())))
    heads += [Head("teacher")] if with_teacher else []
    rows, heads, close = _with_time_to_come_close(result, rows, heads)
    note = "Time of training by stage, mean over the seeds; ratio: to the fastest. A teacher's is spent once for all."
    return Table("training", "Training time", tuple(heads), tuple(rows), (note, *close))


def _with_time_to_come_close(
    result: ComparisonResult, rows: list[Row], heads: list[Head]
) -> tuple[list[Row], list[Head], list[str]]:
    """Add the time until validation first came close to the teacher (Gao et al., table 3), where runs state it."""
    curves = [run_files.curve(run_files.first_set(result)[str(row[0].value)]) for row in rows]
    shares = {one["within"] for one in curves if isinstance(one.get("within"), int | float)}
    if not shares:
        return rows, heads, []
    first = [one.get("first_within") for one in curves]
    times = [_time(one.get("seconds")) if isinstance(one, dict) else EMPTY for one in first]
    share = " or ".join(f"{share:.0%}" for share in sorted(shares))
    note = f"Close: the time to the first validation within {share} of the teacher."
    return [(*row, time) for row, time in zip(rows, times, strict=True)], [*heads, Head("close")], [note]


def curve(result: ComparisonResult) -> Table | None:
    """Return the first measure on validation by the number of training examples; None where no run has it."""
    measure = result.columns[0][1]
    lines = {name: dict(example_line(system, measure)) for name, system in run_files.first_set(result).items()}
    lines = {name: line for name, line in lines.items() if line}
    if not lines:
        return None
    examples = sorted({count for line in lines.values() for count in line})
    rows = [
        (label(name), *(Cell(line[one], number(line[one])) if one in line else EMPTY for one in examples))
        for name, line in lines.items()
    ]
    heads = (Head("System"), *(Head(amount(one), "training examples") for one in examples))
    return Table("curve", f"{measure} on validation queries by training examples", heads, tuple(rows))


def duration(seconds: float) -> str:
    """Return a time as tables do: `42.1 s`, `12.3 min`, `15.87 h`."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"


def _time(seconds: float | None) -> Cell:
    return EMPTY if seconds is None else Cell(seconds, duration(seconds))

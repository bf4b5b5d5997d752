"""Fidelity: how closely each student ranks and scores like the teacher, and the share of the gap below it closed."""

from distilkit.comparison import run_files
from distilkit.comparison.result import Column, ComparisonResult
from distilkit.comparison.systems import System
from distilkit.comparison.table import EMPTY, Cell, ColumnHead, ResultTable, label
from distilkit.evaluation import fidelity as measures
from distilkit.evaluation.trec import Run
from distilkit.run_folders.names import twin_name

TEACHER = "teacher"


def fidelity(result: ComparisonResult) -> ResultTable | None:
    """Return each trained system against the teacher of the first set; None without a teacher or its run.

    The gap is that between the label-only twin and the teacher, or between bm25 and the teacher where there is none.
    """
    systems = run_files.first_set(result)
    teacher = run_files.ranking(systems[TEACHER]) if TEACHER in systems else None
    students = {name: one for name, one in systems.items() if one.kind in ("run", "twin", "file") and name != TEACHER}
    if teacher is None or not students:
        return None
    columns = [column for column in result.columns if column[0] == result.columns[0][0]]
    floors = {name: _floor(name, systems) for name in students}
    figures = ("Kendall's tau", f"RBO (p={measures.PERSISTENCE:g})", "margin error")
    heads = [ColumnHead(name) for name in ("System", *figures)]
    heads += [ColumnHead(measure, "gap closed") for _, measure in columns]
    rows = []
    for name, system in students.items():
        taken = [
            _mean(system, measures.kendall_tau, teacher, ".4f"),
            _mean(system, measures.rank_biased_overlap, teacher, ".4f"),
            _mean(system, measures.margin_error, teacher, ".4g"),
        ]
        rows.append(
            (label(name, result.short[name]), *taken, *(_gap(result, name, floors[name], column) for column in columns))
        )
    used = sorted({result.short[floor] for floor in floors.values() if floor})
    notes = (
        "Means over queries, against the teacher's results: Kendall's tau and rank-biased overlap of the rankings, "
        "mean squared error of the margins between all pairs of results.",
        *((f"Gap closed: (system - floor)/(teacher - floor), the floor being {' or '.join(used)}.",) if used else ()),
    )
    return ResultTable("fidelity", "Fidelity to the teacher", tuple(heads), tuple(rows), notes)


def _floor(name: str, systems: dict[str, System]) -> str | None:
    """Return the system below the student that its gap to the teacher is measured from."""
    return next((one for one in (twin_name(name), "bm25") if one in systems), None)


def _mean(system: System, measure: measures.Measure, teacher: Run, form: str) -> Cell:
    """Return a figure's mean over the queries and over the seeds."""
    found = []
    for seed in range(len(system.origins)):
        run = run_files.ranking(system, seed)
        if run is not None and (value := measures.mean_over_queries(measure, run, teacher)) is not None:
            found.append(value)
    if not found:
        return EMPTY
    mean = sum(found) / len(found)
    return Cell(mean, format(mean, form))


def _gap(result: ComparisonResult, name: str, floor: str | None, column: Column) -> Cell:
    means = [result.find(one, column) for one in (name, TEACHER, floor or "")]
    if any(one is None for one in means):
        return EMPTY
    share = measures.gap_closed(*(one.mean for one in means if one is not None))
    return EMPTY if share is None else Cell(share, f"{share:.0%}")

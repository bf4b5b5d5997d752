"""The tables of the papers that a report has data for, by name."""

from collections.abc import Callable, Iterable, Sequence

from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.table import ResultTable
from distilkit.comparison.tables.budget import budget
from distilkit.comparison.tables.cost import cost, curve, training
from distilkit.comparison.tables.depth import depth_tables
from distilkit.comparison.tables.fidelity import fidelity
from distilkit.errors import UserError, nearest

MANY = 10_000
"""Queries by systems beyond which a depth takes many seconds to measure."""

_TABLES: dict[str, tuple[Callable[[ComparisonResult], ResultTable | None] | None, str]] = {
    "budget": (budget, "no system states its labels and training"),
    "cost": (cost, "no system states a cost"),
    "depth": (None, "there is no first stage called bm25, of more than 10 results, that the others re-rank"),
    "training": (training, "no system states a time of training"),
    "curve": (curve, "no run was validated after numbers of training examples"),
    "fidelity": (fidelity, "there is no teacher with results, or no other system"),
}
"""Name -> what makes the table (several by depth, with the depths asked for), and what is wrong where it makes none."""


def build(result: ComparisonResult, names: Iterable[str], depths: Sequence[int] = ()) -> list[ResultTable]:
    """Return the tables named; `depths` are those of the table by re-ranking depth.

    Raises UserError for a name that there is not, and for a table that the systems have no data for.
    """
    found = []
    for name in dict.fromkeys(names):
        if name not in _TABLES:
            raise UserError(f"--tables: there is no {name!r}{nearest(name, _TABLES)}")
        made = _made(result, name, depths)
        if not made:
            raise UserError(f"--tables {name}: {_TABLES[name][1]}")
        found += made
    return found


def beside(result: ComparisonResult) -> list[ResultTable]:
    """Return the tables that stand beside the means: what is behind the systems, where they say it, and those asked."""
    found = None if any(table.key == "budget" for table in result.tables) else budget(result)
    return [*([found] if found is not None else []), *result.tables]


def available(result: ComparisonResult) -> list[ResultTable]:
    """Return every table that the systems have data for.

    That of depths, which measures every system anew at each, is left to `build` where it would take minutes.
    """
    wide = result.policies()[result.columns[0][0] if result.sets else result.eval_set]["n"] * len(result.names) > MANY
    return [table for name in _TABLES if not (wide and name == "depth") for table in _made(result, name, ())]


def _made(result: ComparisonResult, name: str, depths: Sequence[int]) -> list[ResultTable]:
    make, _ = _TABLES[name]
    if make is None:
        return depth_tables(result, depths)
    table = make(result)
    return [] if table is None else [table]

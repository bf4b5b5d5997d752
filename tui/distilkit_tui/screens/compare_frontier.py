"""The tab of the frontier: effectiveness against what a query costs."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.widgets import Static

from distilkit_tui.core.comparing import AXES, CostPoint, caveat, points
from distilkit_tui.core.history import Floats
from distilkit_tui.core.text import figure
from distilkit_tui.screens.compare_means import NARROW
from distilkit_tui.screens.compare_view import ComparisonView, Pane
from distilkit_tui.widgets.chart import Chart
from distilkit_tui.widgets.plot import Curve, Plot
from distilkit_tui.widgets.table import Cell, Column, Styled, VirtualTable

# The characters of a name: in the chart, in the table of a narrow screen, and in that of others.
LABEL, NARROW_NAME, NAME = 24, 20, 36
COLUMNS = (
    Column("", 1),
    Column("system", NARROW_NAME, grow=1),
    Column("mean", 7, align="right"),
    Column("interval", 16, align="right", rank=3),
    Column("ms/query", 9, align="right", rank=8),
    Column("MACs/pair", 9, align="right", rank=7),
    Column("parameters", 11, align="right", rank=2),
    Column("", 24, grow=1, rank=6),
)


class FrontierPane(Pane):
    """A scatter over a logarithmic axis of cost; what another system beats at no more cost is hollow."""

    def __init__(self) -> None:
        super().__init__()
        self._axis = "ms"
        self._view: ComparisonView | None = None

    def compose(self) -> ComposeResult:
        """Chart, warning, table."""
        yield Chart(Plot("frontier", note="comparing …"))
        yield Static("", id="caveat", markup=False)
        yield VirtualTable(COLUMNS)

    def action_axis(self) -> None:
        """Take the other cost."""
        self._axis = "macs" if self._axis == "ms" else "ms"
        if self._view is not None:
            self.look(self._view)

    def look(self, view: ComparisonView) -> None:
        """Show the systems of a measure."""
        self._view = view
        found = points(view.result, view.column, self._axis)
        self.query_one(Chart).show(self._plot(view, found))
        self.query_one("#caveat", Static).update(caveat(view.result, view.column) if self._axis == "ms" else "")
        rows = {one.name: one for one in found}
        names = view.names_within(NAME if self.app.size.width >= NARROW else NARROW_NAME)
        system = replace(COLUMNS[1], width=max(NARROW_NAME, *map(cell_len, names.values())))
        self.table.columns = (COLUMNS[0], system, *COLUMNS[2:])
        self.table.show(list(rows), lambda key: self._cells(rows[key], names))
        self.table.go_to(view.system)

    def _plot(self, view: ComparisonView, found: list[CostPoint]) -> Plot:
        costed = [one for one in found if one.costs[self._axis]]
        free = [one for one in found if not one.costs[self._axis]]
        edge, hollow = ([one for one in costed if bool(one.dominated) is beaten] for beaten in (False, True))
        curves, names = [], view.names_within(LABEL)
        if len(edge) > 1:
            curves.append(Curve("frontier", *self._steps(edge), 7, dim=True))
        for name, glyph, group in (("dominated", "○", hollow), ("on the frontier", "●", edge)):
            if group:
                x = np.array([one.costs[self._axis] for one in group], dtype=float)
                y = np.array([one.mean for one in group])
                labels = tuple(names[one.name] for one in group)
                curves.append(Curve(name, x, y, 1 if group is edge else 5, "points", glyph, labels))
        note = "no system states this cost"
        title = f"{view.label} by {AXES[self._axis]}"
        title += f" · dotted: {', '.join(view.names[one.name] for one in free)}" if free and curves else ""
        lines = tuple(one.mean for one in free)
        return Plot(title, tuple(curves), self._axis, log_x=True, lines=lines, note=note)

    def _steps(self, edge: list[CostPoint]) -> tuple[Floats, Floats]:
        """Return the frontier as a staircase: each point, and the corner before it, at its cost and the last mean."""
        x = np.repeat([float(one.costs[self._axis] or 0) for one in edge], 2)[1:]
        y = np.repeat([one.mean for one in edge], 2)[:-1]
        return x, y

    def _cells(self, one: CostPoint, names: Mapping[str, str]) -> list[Cell]:
        cost = one.costs[self._axis]
        if not cost:
            sign, word = Styled("·", "text-muted"), "states no cost"
        elif one.dominated:
            sign, word = Styled("○", "error"), f"dominated by {names[one.dominated]}"
        else:
            sign, word = Styled("●", "success"), "on the frontier"
        interval = "" if one.low is None or one.high is None else f"[{one.low:.4f}, {one.high:.4f}]"
        ms, macs = one.costs["ms"], one.costs["macs"]
        return [
            sign,
            names[one.name],
            f"{one.mean:.4f}",
            interval,
            "" if ms is None else f"{ms:.2f}",
            "" if macs is None else figure(macs),
            "" if one.parameters is None else f"{one.parameters:,.0f}",
            word,
        ]

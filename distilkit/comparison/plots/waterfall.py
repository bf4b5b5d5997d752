"""Per query: by how much each system wins or loses against the first baseline, sorted."""

from typing import TYPE_CHECKING

import numpy as np

from distilkit.comparison import run_files
from distilkit.comparison.plots import style
from distilkit.comparison.result import ComparisonResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(result: ComparisonResult) -> "Figure | None":
    """Return a panel per system compared with the first baseline on the first measure; None without any."""
    column, baseline = result.columns[0], result.baselines[0]
    rows = [one for one in result.comparisons if (one.set, one.measure) == column and one.baseline == baseline][
        : style.PANELS
    ]
    systems = run_files.first_set(result)
    if not rows or baseline not in systems:
        return None
    figure, axes = style.panels(len(rows))
    there = systems[baseline].per_query[column[1]]
    for panel, one in zip(axes, rows, strict=True):
        values = systems[one.system].per_query[column[1]]
        differences = np.sort([values[query] - there[query] for query in values.keys() & there.keys()])[::-1]
        edges = np.arange(len(differences) + 1)
        panel.stairs(np.maximum(differences, 0), edges, fill=True, color=style.BLUE)
        panel.stairs(np.minimum(differences, 0), edges, fill=True, color=style.RED)
        panel.axhline(0, color=style.BLACK, linewidth=0.6)
        panel.set_title(
            f"{style.named(one.system, result.names)}\n{one.wins} won, {one.ties} tied, {one.losses} lost", fontsize=8
        )
        panel.set_xticks([])
    figure.supxlabel("queries, sorted", fontsize=8)
    figure.supylabel(f"{result.label(column)} - {style.named(baseline, result.names)}", fontsize=8)
    return figure

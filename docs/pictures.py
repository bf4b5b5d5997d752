"""Draw the pictures of the guide to fair comparisons: `python docs/pictures.py`. Their systems are made up.

guides/verdicts.svg has one system for each verdict of a comparison, guides/queries.svg the smallest difference that a
number of queries can show.
"""

from pathlib import Path

import numpy as np

from distilkit.comparison.compare import compare
from distilkit.comparison.plots import inline, style
from distilkit.comparison.systems import System

GUIDES = Path(__file__).parent / "guides"
MEASURE = "nDCG@10"
# Each system's mean difference to the teacher, and how much it varies between queries.
SYSTEMS = {
    "better": (0.04, 0.12),
    "non-inferior": (0.0, 0.08),
    "inconclusive": (-0.008, 0.3),
    "worse": (-0.07, 0.15),
}
QUERIES = 300
Z = 1.959964 + 0.841621
"""Quantiles of the normal distribution: 5 % of false alarms on two sides, and 80 % power."""


def verdicts() -> str:
    """Return the forest plot of the made-up systems as SVG."""
    draw = np.random.default_rng(1)
    base = draw.uniform(0.2, 0.8, QUERIES)
    values = {"teacher": base}
    for name, (mean, spread) in SYSTEMS.items():
        noise = draw.normal(0, spread, QUERIES)
        values[name] = base + mean + noise - noise.mean()
    named = {name: {f"q{number}": float(one) for number, one in enumerate(row)} for name, row in values.items()}
    result = compare([System(name, {MEASURE: row}) for name, row in named.items()], baselines=["teacher"])
    return next(svg for title, svg in inline(result) if title == "Differences to the baseline")


def draw_queries(path: Path) -> None:
    """Draw the smallest difference that a number of queries shows in four of five tests."""
    counts = np.geomspace(25, 10_000, 40)
    with style.look("queries"):
        figure = style.figure(6.2, 3.0)
        axes = figure.subplots()
        for spread, dashes in ((0.1, "-"), (0.2, "--"), (0.3, ":")):
            label = f"standard deviation of the differences {spread}"
            axes.plot(counts, Z * spread / np.sqrt(counts), dashes, color=style.BLACK, label=label)
        axes.set_xscale("log")
        axes.set_xticks([25, 100, 1000, 10_000], ["25", "100", "1,000", "10,000"])
        axes.minorticks_off()
        axes.set_xlabel("judged queries")
        axes.set_ylabel("smallest difference")
        axes.legend()
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    (GUIDES / "verdicts.svg").write_text(verdicts() + "\n", encoding="utf-8")
    draw_queries(GUIDES / "queries.svg")
    for path in (GUIDES / "verdicts.svg", GUIDES / "queries.svg"):
        # Black lines need a light ground on pages that are dark.
        drawn = path.read_text(encoding="utf-8").replace("<svg ", '<svg style="background: white" ', 1)
        path.write_text("".join(f"{line.rstrip()}\n" for line in drawn.splitlines()), encoding="utf-8")

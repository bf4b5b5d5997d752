"""Puts what was measured into pages: between their markers, and as a plot of each suite."""

from pathlib import Path
from typing import Any

from benchmarks.evidence.measured import MEASURE, Measured
from benchmarks.evidence.tables import choices

ROOT = Path(__file__).parents[2]
RESULTS, EVIDENCE = "benchmarks/RESULTS.md", "docs/evidence.md"
GUIDE, PLOTS = "docs/guides/choosing-a-method.md", "docs/evidence"


def between_markers(text: str, name: str, content: str) -> str:
    """Return a page with new content between its markers; raises ValueError for a page without them."""
    first, last = f"<!-- evidence: {name} -->", f"<!-- end of evidence: {name} -->"
    before, found, rest = text.partition(first)
    _, closed, after = rest.partition(last)
    if not (found and closed):
        raise ValueError(f"the page has no markers for {name!r}: expected {first} and {last}")
    return f"{before}{first}\n\n{content.strip()}\n\n{last}{after}"


def rewrite(root: Path, page: str, suite: str, content: str) -> None:
    """Rewrite what lies between a page's markers of a suite."""
    (root / page).write_text(between_markers((root / page).read_text(), suite, content))


def draw(measured: Measured, root: Path) -> str:
    """Draw a suite's effectiveness by training cost, the teacher's included, and return what shows it in a page."""
    from distilkit.comparison.plots import style

    def mark(method: int, student: int) -> dict[str, Any]:
        """A colour is a method, a marker a student."""
        return {"color": style.of(method)["color"], "marker": style.of(student)["marker"], "linestyle": "none"}

    found = list(choices(measured))
    path = root / PLOTS / f"{measured.suite}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    with style.look("evidence"):
        figure = style.figure(7.2, 4.4)
        axes = figure.subplots()
        methods = list(dict.fromkeys(one.method for one in found))
        students = list(dict.fromkeys(one.student for one in found))
        for one in found:
            axes.plot(one.total / 60, one.mean.mean, **mark(methods.index(one.method), students.index(one.student)))
        for place, method in enumerate(methods):
            axes.plot([], [], label=method, **mark(place, 0))
        for place, student in enumerate(students if len(students) > 1 else []):
            axes.plot([], [], label=student, **{**mark(0, place), "color": "grey"})
        style.logarithmic(axes)
        axes.set_xlabel("minutes of training, the teacher's included")
        axes.set_ylabel(MEASURE)
        style.legend(axes, len(methods) + len(students))
        figure.savefig(path, format="svg", metadata={"Date": None})
    return f"![Training cost against {MEASURE}: {measured.suite}](evidence/{path.name})"

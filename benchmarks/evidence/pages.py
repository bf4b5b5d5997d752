"""Puts what was measured into pages: between their markers, and as a plot beside them."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.evidence.measured import MEASURE, Measured
from benchmarks.evidence.tables import choices

ROOT = Path(__file__).parents[2]
RESULTS, EVIDENCE = "benchmarks/RESULTS.md", "docs/evidence.md"
GUIDE, PLOT = "docs/guides/choosing-a-method.md", "docs/evidence.svg"
SHOWN = "![Training cost against nDCG@10]({path})"


def between_markers(text: str, name: str, content: str) -> str:
    """Return a page with new content between its markers; raises ValueError for a page without them."""
    first, last = f"<!-- evidence: {name} -->", f"<!-- end of evidence: {name} -->"
    before, found, rest = text.partition(first)
    _, closed, after = rest.partition(last)
    if not (found and closed):
        raise ValueError(f"the page has no markers for {name!r}: expected {first} and {last}")
    return f"{before}{first}\n\n{content.strip()}\n\n{last}{after}"


def rewrite(root: Path, page: str, parts: dict[str, str]) -> None:
    """Rewrite what lies between a page's markers."""
    text = (root / page).read_text()
    for name, content in parts.items():
        text = between_markers(text, name, content)
    (root / page).write_text(text)


def draw(measured: Iterable[Measured], path: Path) -> bool:
    """Draw training cost, the teacher's included, against effectiveness; return whether there was anything to draw."""
    from distilkit.comparison.plots import style

    found = list(choices(measured))
    if not found:
        path.unlink(missing_ok=True)
        return False
    with style.look("evidence"):
        figure = style.figure(7.2, 4.4)
        axes = figure.subplots()
        for place, student in enumerate(dict.fromkeys(one.student for one in found)):
            own = [one for one in found if one.student == student]
            axes.plot(
                [one.total / 60 for one in own],
                [one.mean.mean for one in own],
                label=student,
                **{**style.of(place), "linestyle": "none"},
            )
        style.logarithmic(axes)
        axes.set_xlabel("minutes of training, the teacher's included")
        axes.set_ylabel(MEASURE)
        style.legend(axes, len(found))
        figure.savefig(path, format="svg", metadata={"Date": None})
    return True

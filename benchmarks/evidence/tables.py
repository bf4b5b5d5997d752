"""What suites measured as Markdown: the papers' tables, the claims, and the choice of a method."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.evidence.claims import CLAIMS, verdicts
from benchmarks.evidence.measured import MEASURE, Measured
from distilkit.comparison.render.markdown import escaped
from distilkit.comparison.result import ComparisonResult, SystemMean
from distilkit.tables import duration


def rows(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; cells are shown as they are."""
    cells = [[escaped(cell) for cell in line] for line in lines]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *cells)]


def of_suite(measured: Measured) -> str:
    """Return a suite's table of means, spread and training time, a column a student."""
    students = list(measured.results)
    names = list(dict.fromkeys(one.name for result in measured.results.values() for one in result.systems))
    lines = [[name, *(_mean(result, name) for result in measured.results.values())] for name in names]
    seeds = max(one.seeds for result in measured.results.values() for one in result.systems)
    counts = {one.n for result in measured.results.values() for one in result.systems}
    letters = next(iter(measured.results.values())).letters
    told = ", ".join(f"{small.upper()}/{small} {escaped(name)}" for name, small in letters.items())
    spread = f" ± the standard deviation over {seeds} seeds" if seeds > 1 else ""
    parts = [
        f"{MEASURE} on {' or '.join(map(str, sorted(counts)))} test queries{spread}; letters: differs from {told}. "
        f"Machine: {'; '.join(map(escaped, measured.machines))}."
    ]
    parts += [
        "",
        *rows(["system", *students], lines),
        "",
        "Training seconds of each stage, the mean over the seeds:",
        "",
    ]
    stages = list(dict.fromkeys(stage for one in measured.seconds.values() for stage in one))
    taken = [
        [student, system, *(_seconds(one.get(stage)) for stage in stages)]
        for (student, system), one in measured.seconds.items()
    ]
    return "\n".join([*parts, *rows(["student", "system", *stages], taken), *_curves(measured)])


def _curves(measured: Measured) -> Iterator[str]:
    """Yield the table of learning curves; nothing for a suite that has none."""
    points = sorted({pairs for curve in measured.curves.values() for pairs in curve})
    if points:
        yield from ("", f"{MEASURE} on the validation queries after so many pairs, the mean over the seeds:", "")
        yield from rows(
            ["student", "system", *(f"{pairs:,}" for pairs in points)],
            [
                [student, system, *("–" if (value := curve.get(pairs)) is None else f"{value:.4f}" for pairs in points)]
                for (student, system), curve in measured.curves.items()
            ],
        )


def _mean(result: ComparisonResult, name: str) -> str:
    one = next((mean for mean in result.systems if (mean.name, mean.measure) == (name, MEASURE)), None)
    if one is None:
        return "–"
    spread = "" if one.seed_deviation is None else f" ± {one.seed_deviation:.4f}"
    return f"{one.mean:.4f}{spread} {one.superscripts}".rstrip()


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def of_claims(measured: Measured) -> str:
    """Return what a suite says of its paper's claims."""
    lines = [
        [claim.words, verdict.student, *verdict.figures, verdict.holds]
        for claim in CLAIMS
        if claim.suite == measured.suite
        for verdict in verdicts(claim, measured)
    ]
    title = (
        f"The difference is that of {MEASURE}. p is of the test over queries and seeds; with the seeds fixed it is of "
        "a test over the queries alone, as in the papers. Holm's correction is over the whole table."
    )
    head = ["claim", "student", "difference", "p", "after Holm", "seeds fixed, after Holm", "verdict"]
    return "\n".join([title, "", *rows(head, lines)])


@dataclass(frozen=True)
class Choice:
    """A method for a student: what it reaches, and the seconds of its training without and with its teacher's."""

    student: str
    method: str
    mean: SystemMean
    own: float
    total: float


def choices(measured: Measured) -> Iterator[Choice]:
    """Yield every trained system of a suite whose training time is known."""
    for student, result in measured.results.items():
        for one in result.systems:
            behind = result.budgets.get(one.name, {})
            own, total = behind.get("training_seconds"), behind.get("total_training_seconds")
            if one.kind == "run" and one.measure == MEASURE and own is not None and total is not None:
                yield Choice(student, one.name, one, own, total)


def of_choices(measured: Measured) -> str:
    """Return a suite's table of methods by student and cost, and the rule of thumb that comes of it."""
    found = sorted(choices(measured), key=lambda one: (one.student, one.own))
    lines = [
        [
            one.student,
            one.method,
            f"{one.mean.mean:.4f}",
            "–" if one.mean.ci_low is None else f"[{one.mean.ci_low:.4f}, {one.mean.ci_high:.4f}]",
            duration(one.own),
            duration(one.total),
        ]
        for one in found
    ]
    head = ["student", "method", MEASURE, "interval", "training", "with the teacher's"]
    return "\n".join([*rows(head, lines), "", *_thumb(found)])


def _thumb(found: list[Choice]) -> Iterator[str]:
    """Yield for each student the cheapest method whose interval reaches the best one's mean."""
    for student in dict.fromkeys(one.student for one in found):
        own = [one for one in found if one.student == student]
        best = max(own, key=lambda one: one.mean.mean)
        near = [one for one in own if one.mean.ci_high is not None and one.mean.ci_high >= best.mean.mean]
        cheapest = min(near or [best], key=lambda one: one.total)
        told = f"`{best.method}` is best ({best.mean.mean:.4f}, {duration(best.total)} with the teacher's)"
        if cheapest is not best:
            told += (
                f"; the cheapest whose interval reaches it is `{cheapest.method}` "
                f"({cheapest.mean.mean:.4f}, {duration(cheapest.total)})"
            )
        yield f"- **{student}**: {told}."

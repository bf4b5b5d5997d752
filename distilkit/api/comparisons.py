"""`distilkit.compare`: whether the differences between systems are real, for systems on disk and in memory."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from distilkit.comparison.compare import compare as compare_systems
from distilkit.comparison.paired_tests import MarginKind
from distilkit.comparison.render import Screen, format_of, render
from distilkit.comparison.render.html import render_fragment
from distilkit.comparison.result import ComparisonResult
from distilkit.comparison.systems import read_systems
from distilkit.errors import UserError
from distilkit.evaluation.trec import Qrels, write_qrels, write_run
from distilkit.evaluation.trec import Run as TrecRun
from distilkit.files import of_passing_folder, write_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

# PyTerrier's columns of results and of judgements.
RESULTS = ("qid", "docno", "score")
JUDGEMENTS = ("qid", "docno", "label")


class SystemComparison:
    """The result of `distilkit.compare`: systems side by side, and the paired tests between them.

    It shows itself in a notebook and in a terminal with rich; `result` has every figure.

    Attributes:
        result: means, intervals, comparisons, p values and policy

    Examples:
        >>> found = compare("tiny", baseline="teacher", measures="nDCG@10")
        >>> found.to_frame()["name"].tolist()
        ['bm25', 'teacher', 'tiny-label_only', 'tiny', 'ceiling', 'chance']
        >>> found.to_frame("comparisons").columns[:3].tolist()
        ['system', 'baseline', 'measure']
        >>> found.save("report.html").name
        'report.html'
    """

    def __init__(self, result: ComparisonResult) -> None:
        self.result = result

    def to_frame(self, what: Literal["means", "comparisons"] = "means") -> "pd.DataFrame":
        """Return a row a system and measure, or a row a comparison, with the columns of the JSON report."""
        import pandas as pd

        value = self.result.to_json()
        if what not in ("means", "comparisons"):
            raise UserError(f"to_frame: there is no table {what!r}; expected means or comparisons")
        return pd.DataFrame(value["systems" if what == "means" else "comparisons"])

    def to_text(self, width: int = 100, details: bool = False) -> str:
        """Return the report as text of a width in columns; `details` adds every comparison's figures."""
        return render(self.result, "text", Screen(width=width, details=details))

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        return render(self.result, "markdown")

    def to_latex(self) -> str:
        """Return the table and its notes as LaTeX."""
        return render(self.result, "latex")

    def to_html(self) -> str:
        """Return the report as one HTML page that needs no network."""
        return render(self.result, "html")

    def to_csv(self) -> str:
        """Return the comparisons as CSV."""
        return render(self.result, "csv")

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return self.result.to_json()

    def save(self, path: str | PathLike[str], format: str | None = None) -> Path:
        """Write the report to a file, in the format that its suffix names, or another; return the file.

        A suffix that names no format stands for text. Raises UserError for an unknown format and a file that cannot be
        written.
        """
        file = Path(path)
        text = render(self.result, format or format_of(file))
        try:
            write_text(file, text)
        except OSError as error:
            raise UserError(f"{file}: cannot be written: {error.strerror}") from None
        return file

    def plot(self, folder: str | PathLike[str]) -> list[Path]:
        """Write each plot that there are data for, as PNG, SVG and PDF; return the files."""
        from distilkit.comparison.plots import save  # matplotlib takes a second to import

        return save(self.result, Path(folder))

    def _repr_html_(self) -> str:
        return render_fragment(self.result)

    def __rich__(self) -> "Text":
        from rich.text import Text

        return Text(self.to_text())

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        measures = ", ".join(self.result.measures)
        return f"<comparison of {', '.join(self.result.names)} on {measures}>"


def compare(
    systems: object,
    *,
    baseline: str | Sequence[str] | None = None,
    qrels: object = None,
    measures: str | Iterable[str] | None = None,
    eval_set: str | Sequence[str] | None = None,
    runs_dir: str | PathLike[str] = "runs",
    pairs: str = "baseline",
    queries: str = "judged",
    test: str = "t-test",
    correction: str = "holm",
    alpha: Sequence[float] = (0.05, 0.01),
    non_inferiority: float = 0.03,
    margin_kind: MarginKind = "relative",
    equivalence: bool = False,
    seeds: str = "auto",
) -> SystemComparison:
    """Compare systems over the same queries, with paired tests that are corrected over the whole report.

    Args:
        systems: a list of systems, or a mapping of names to systems. A system is a `Run`, a `Suite`, a run's name or
            folder, a TREC run file, a mapping of query ids to {document id: score}, a list of ir_measures' ScoredDoc,
            or a data frame with PyTerrier's columns qid, docno and score. Runs bring their first stage, teacher and
            label-only twin along
        baseline: the name or names of the systems that all others are held against
        qrels: judgements: a TREC or BEIR file, a mapping of query ids to {document id: grade}, a list of ir_measures'
            Qrel, or a data frame with the columns qid, docno and label; those of the first run by default
        measures: as in ir-measures, such as "nDCG@10 RR@10"; by default those of the first run
        eval_set: the query sets of runs; all that they share by default
        runs_dir: the folder that names of runs are looked up in
        pairs: "baseline", or "all" to compare all with all
        queries: "judged", or "intersection" for those that every system has results for
        test: t-test, wilcoxon, permutation or bootstrap
        correction: none, bonferroni, holm or bh
        alpha: the levels of the marks, the larger one that of intervals
        non_inferiority: the margin, of the baseline's mean or absolute
        margin_kind: relative or absolute
        equivalence: test equivalence at the margin, too
        seeds: "hierarchical" tests over queries and seeds, "mean" over the queries' means over the seeds; "auto" is the
            former where a system has several seeds and the test is the t-test

    Raises UserError for systems, names or options that do not fit.

    Examples:
        >>> judged = {"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"c": 1}}
        >>> good = {"q1": {"a": 2.0, "b": 1.0}, "q2": {"b": 2.0, "c": 1.0}, "q3": {"c": 3.0}}
        >>> poor = {"q1": {"b": 2.0, "a": 1.0}, "q2": {"c": 2.0, "b": 1.0}, "q3": {"a": 3.0}}
        >>> found = compare({"poor": poor, "good": good}, qrels=judged, measures="RR@10")
        >>> found.to_frame()[["name", "mean"]].round(3).values.tolist()
        [['poor', 0.333], ['good', 1.0]]
    """

    def compared(folder: Path) -> SystemComparison:
        named = enumerate(_named(systems), 1)
        read = read_systems(
            [_argument(name, system, folder, number) for number, (name, system) in named],
            runs_dir=Path(runs_dir),
            measures=measures,
            qrels=None if qrels is None else _qrels_file(qrels, folder),
            eval_set=eval_set,
        )
        result = compare_systems(
            read,
            baselines=[baseline] if isinstance(baseline, str) else baseline,
            measures=measures if measures is None or isinstance(measures, str) else list(measures),
            pairs=pairs,
            queries=queries,
            test=test,
            correction=correction,
            alpha=alpha,
            noninferiority=non_inferiority,
            margin_kind=margin_kind,
            equivalence=equivalence,
            seeds=seeds,
        )
        return SystemComparison(result)

    # Systems that were given in memory lie there, for single queries and plots, as long as the result lives.
    return of_passing_folder("compare", compared)


def _named(systems: object) -> list[tuple[str | None, object]]:
    """Return each system with the name that it was given, if any."""
    if isinstance(systems, Mapping):
        if (
            systems
            and all(isinstance(value, Mapping) and _is_run(value) for value in systems.values())
            and all(not isinstance(inner, Mapping) for value in systems.values() for inner in value.values())
        ):
            # One run of query ids, not a mapping of names.
            return [(None, systems)]
        return [(str(name), system) for name, system in systems.items()]
    if isinstance(systems, Iterable) and not isinstance(systems, str | PathLike) and not hasattr(systems, "columns"):
        return [(None, system) for system in systems]
    return [(None, systems)]


def _is_run(value: Mapping[Any, Any]) -> bool:
    return all(isinstance(score, int | float) for score in value.values())


def _argument(name: str | None, system: object, folder: Path, number: int) -> str:
    """Return a system as `read_systems` takes it, after writing one that is in memory to a TREC run."""
    if name is not None and "=" in name:
        raise UserError(f"compare: {name!r} cannot be a system's name; expected one without the sign =")
    found = getattr(system, "path", system)
    if isinstance(found, str | PathLike):
        path = fspath(found)
        return path if name is None else f"{name}={path}"
    name, path = name or f"system-{number}", folder / f"{number}.trec"
    write_run(path, _run_of(system), tag=name)
    return f"{name}={path}"


def _run_of(system: object) -> TrecRun:
    """Return a run in memory as results by query; raises UserError for what is none."""
    rows = _rows(system, RESULTS, ("query_id", "doc_id", "score"), "a system")
    run: dict[str, list[tuple[str, float]]] = {}
    for query, document, score in rows:
        run.setdefault(query, []).append((document, float(score)))
    return run


def _qrels_file(qrels: object, folder: Path) -> Path:
    """Return judgements as a file, written where they are in memory."""
    if isinstance(qrels, str | PathLike):
        return Path(fspath(qrels))
    found: Qrels = {}
    for query, document, grade in _rows(qrels, JUDGEMENTS, ("query_id", "doc_id", "relevance"), "judgements"):
        found.setdefault(query, {})[document] = int(grade)
    path = folder / "qrels.tsv"
    write_qrels(path, found)
    return path


def _rows(
    value: object, columns: tuple[str, str, str], fields: tuple[str, str, str], what: str
) -> list[tuple[str, str, float]]:
    """Return (query id, document id, number) of a nested mapping, a data frame, or ir_measures' tuples."""
    names = getattr(value, "columns", None)
    rows: Iterable[Sequence[Any]]
    if names is not None:
        absent = [column for column in columns if column not in list(names)]
        if absent:
            raise UserError(f"compare: {what}: the frame has no column {absent[0]!r}; expected {', '.join(columns)}")
        frame: Any = value
        rows = frame[list(columns)].itertuples(index=False, name=None)
    elif isinstance(value, Mapping):
        if not all(isinstance(inner, Mapping) for inner in value.values()):
            raise UserError(f"compare: {what}: expected {{query id: {{document id: {columns[2]}}}}}")
        rows = [(query, document, number) for query, inner in value.items() for document, number in inner.items()]
    elif isinstance(value, Iterable):
        items = list(value)
        if not all(hasattr(item, field) for item in items for field in fields):
            raise UserError(f"compare: {what}: expected tuples of ir_measures with {', '.join(fields)}")
        rows = [tuple(getattr(item, field) for field in fields) for item in items]
    else:
        raise UserError(f"compare: {value!r:.80} is no {what.removeprefix('a ')}; see help(distilkit.compare)")
    try:
        return [(str(query), str(document), float(number)) for query, document, number in rows]
    except (TypeError, ValueError):
        raise UserError(f"compare: {what}: expected numbers as {columns[2]}") from None

"""The command line: verbs only; torch and textual are imported inside the verb that needs them."""

import io
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from distilkit import __version__
from distilkit.errors import RunFailed, Stopped, UserError

app = typer.Typer(
    name="distilkit",
    help="Distil neural rankers, and find out whether the difference is real.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsDir = Annotated[Path, typer.Option("--runs-dir", envvar="DISTILKIT_RUNS", help="The folder of all runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Listed = list[str]
MaxLength = Annotated[int | None, typer.Option(min=8, help="Tokens of a pair read together; the model's own.")]
Length = Annotated[int | None, typer.Option(min=3, help="Tokens of one, read apart; the model's own by default.")]
Architecture = Annotated[str | None, typer.Option(help="Which ranker a model is that does not say so.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Pairs a forward pass.")]
Bf16 = Annotated[Literal["auto", "true", "false"], typer.Option(help="bfloat16; auto where the device is fast at it.")]
Margin = Literal["relative", "absolute"]
_TOGGLES: dict[str, bool | str] = {"auto": "auto", "true": True, "false": False}


def main() -> None:
    """Run a verb; exit code 0 done, 1 the run failed, 2 the input is wrong, 130 stopped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character shows its number
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except UserError as error:
        _leave(error, 2)
    except RunFailed as error:
        _leave(error, 1)
    except Stopped as error:
        _leave(error, 130)
    except BrokenPipeError:
        # The reader (head, less) has gone: nothing is wrong, and nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _leave(error, 1)
    except SystemExit as done:
        if done.code == 130:
            _leave("stopped at once; go on from the last checkpoint with --resume auto", 130)
        # Typer leaves with 1 for nothing but a reader that has gone.
        sys.exit(0 if done.code == 1 else done.code)


def _leave(problem: object, code: int) -> None:
    from distilkit.tables import plain

    if os.environ.get("RANK", "0") == "0":  # all processes of a group may end alike
        print(f"distilkit: {plain(str(problem))}", file=sys.stderr)
    sys.exit(code)


def _version(asked: bool) -> None:
    if asked:
        print(f"distilkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")],
    set_: Annotated[
        Listed | None, typer.Option("--set", metavar="K=V", help="Change a key, as section.key=value.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The run's name; the recipe's by default.")] = None,
    runs_dir: RunsDir = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="The student's seed.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="auto|RUN", help="Continue a run, or print a finished one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show stages, steps, sizes and what is cached.")] = False,
    json_: Json = False,
) -> None:
    """Train, evaluate and compare what a recipe names."""
    from distilkit.recipe import load_with_source
    from distilkit.runs.execute import Request, execute
    from distilkit.runs.plan import plan, suite_plan
    from distilkit.runs.suite_run import execute_suite

    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {runs_dir}: expected a folder")
    overrides = list(set_ or [])
    overrides += [f"name={json.dumps(name)}"] if name is not None else []
    overrides += [f"seed={seed}"] if seed is not None else []
    if resume not in (None, "auto"):
        overrides.append(f"name={json.dumps(_run_name(str(resume), runs_dir))}")
    loaded, source = load_with_source(recipe, overrides)
    request = Request(loaded, source, runs_dir, resume is not None)
    suite = loaded.matrix is not None
    if dry_run:
        made = suite_plan(request) if suite else plan(request)
        print(json.dumps(made.to_json(), indent=2) if json_ else made.to_text())
        return
    folder = execute_suite(request, quiet=json_) if suite else execute(request, quiet=json_)
    if folder is not None:
        print(_finished(folder.path, "json" if json_ else "text"))


@app.command()
def compare(
    systems: Annotated[
        Listed, typer.Argument(metavar="SYSTEM...", help="Run folders, names of runs or suites, TREC run files.")
    ],
    baseline: Annotated[Listed | None, typer.Option(help="NAME or NAME:LETTER; repeatable.")] = None,
    pairs: Annotated[
        str, typer.Option(metavar="baseline|all", help="Against the baselines, or all with all.")
    ] = "baseline",
    measures: Annotated[Listed | None, typer.Option(help="Measures as in ir-measures.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements, TREC or BEIR TSV, plain or .gz.")] = None,
    eval_set: Annotated[
        Listed | None, typer.Option(help="Query sets of run folders; all that the runs share by default.")
    ] = None,
    queries: Annotated[str, typer.Option(metavar="judged|intersection")] = "judged",
    test: Annotated[str, typer.Option(metavar="t-test|wilcoxon|permutation|bootstrap")] = "t-test",
    correction: Annotated[str, typer.Option(metavar="none|bonferroni|holm|bh")] = "holm",
    alpha: Annotated[Listed | None, typer.Option(help="Levels of the marks, the larger one the interval's.")] = None,
    non_inferiority: Annotated[float, typer.Option(help="The margin.")] = 0.03,
    margin_kind: Annotated[Margin, typer.Option()] = "relative",
    equivalence: Annotated[bool, typer.Option("--equivalence", help="Test equivalence at the margin, too.")] = False,
    seeds: Annotated[str, typer.Option(metavar="mean|hierarchical", help="What several seeds of a run are.")] = "mean",
    format_: Annotated[str, typer.Option("--format", metavar="text|markdown|latex|html|json|csv")] = "text",
    details: Annotated[bool, typer.Option("--details", help="Show every comparison's figures in text.")] = False,
    tables: Annotated[
        Listed | None, typer.Option(metavar="cost|depth|training|curve|fidelity", help="Tables beside the means.")
    ] = None,
    depths: Annotated[Listed | None, typer.Option(help="Depths of the table of re-ranking depths.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write plots as PNG, SVG and PDF.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write to a file instead of the screen.")] = None,
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Test whether the differences between systems are real."""
    from distilkit.comparison.compare import compare as compare_systems
    from distilkit.comparison.render import formats, render
    from distilkit.comparison.systems import read_systems
    from distilkit.comparison.tables.build import build
    from distilkit.files import write_text

    format_ = formats.resolve("json" if json_ else format_)
    names = _split(measures)
    read = read_systems(systems, runs_dir=runs_dir, measures=names, qrels=qrels, eval_set=_split(eval_set))
    result = compare_systems(
        read,
        baselines=_baselines(baseline, [system.name for system in read]),
        measures=names,
        pairs=pairs,
        queries=queries,
        test=test,
        correction=correction,
        alpha=_levels(alpha) or (0.05, 0.01),
        noninferiority=non_inferiority,
        margin_kind=margin_kind,
        equivalence=equivalence,
        seeds=seeds,
    )
    asked = [*(_split(tables) or []), *(["depth"] if depths else [])]
    result = replace(result, tables=tuple(build(result, asked, _counts(depths))))
    screen = replace(_screen(output is None and sys.stdout.isatty()), details=details)
    text = render(result, format_, screen)
    if plots is not None:
        from distilkit.comparison.plots import save

        save(result, plots)
    if output is None:
        print(text.rstrip("\n"))
        return
    try:
        write_text(output, text)
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written: {error.strerror}") from None


@app.command()
def runs(runs_dir: RunsDir = Path("runs"), json_: Json = False) -> None:
    """List the runs: state, strategy, student, step and measures."""
    from distilkit.runs.state import find_runs, summary
    from distilkit.tables import table

    rows = [summary(folder, runs_dir) for folder in find_runs(runs_dir)]
    if json_:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print(f"no runs in {runs_dir}")
        return
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    print(table(["run", "state", "strategy", "student", "step", *names], [_run_row(row, names) for row in rows]))


def _run_row(row: dict[str, Any], names: list[str]) -> list[str]:
    step = f"{row['step']}/{row['total']}" if row["total"] else ""
    values = [f"{row['measures'][name]:.4f}" if name in row["measures"] else "" for name in names]
    return [row["name"], row["state"], row["strategy"], row["student"], step, *values]


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run's name or folder.")],
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Show one run: state, settings, validation, cost, measures."""
    from distilkit.runs.show import describe, to_text
    from distilkit.runs.state import locate

    found = describe(locate(name, runs_dir))
    print(json.dumps(found, indent=2) if json_ else to_text(found))


@app.command()
def score(
    model: Annotated[Listed, typer.Option(metavar="REF", help="A teacher: hub id, folder, package:NAME, NAME=REF.")],
    output: Annotated[Path, typer.Option(metavar="FILE.tsv|FILE.parquet", help="Where the scores go.")],
    triples: Annotated[Path | None, typer.Option(help="Query, positive, negative between tabs, ids or texts.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Query id and passage id between tabs.")] = None,
    run: Annotated[Path | None, typer.Option(help="The candidates of a TREC run.")] = None,
    data: Annotated[Path | None, typer.Option(help="A BEIR or MS MARCO folder with the texts.")] = None,
    collection: Annotated[list[Path] | None, typer.Option(help="Passages: id and text, TSV or .jsonl.")] = None,
    queries: Annotated[list[Path] | None, typer.Option(help="Queries: id and text, TSV or .jsonl.")] = None,
    combine: Annotated[str, typer.Option(metavar="mean|standardised", help="An ensemble's score.")] = "mean",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what a killed process left.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="Print and plot ranges, margins, ties.")] = False,
    architecture: Architecture = None,
    query_length: Length = None,
    document_length: Length = None,
    max_length: MaxLength = None,
    batch_size: BatchSize = 64,
    bf16: Annotated[
        Literal["auto", "true", "false"], typer.Option(help="bfloat16: coarse scores, some equal.")
    ] = "false",
    json_: Json = False,
) -> None:
    """Score triples, pairs or candidates with one teacher or several: raw logits."""
    from distilkit.scoring.command import score_command

    report = score_command(
        models=_references(model),
        inputs={"triples": triples, "pairs": pairs, "run": run},
        data=data,
        collection=collection or [],
        queries=queries or [],
        audited=audit,
        quiet=json_,
        output=output,
        combine=combine,
        resume=resume,
        architecture=architecture,
        query_length=query_length,
        document_length=document_length,
        max_length=max_length,
        batch_size=batch_size,
        bf16=_TOGGLES[bf16],
    )
    if report is not None:
        print(json.dumps(report.to_json(), indent=2) if json_ else report.to_text())


@app.command()
def rerank(
    models: Annotated[Listed, typer.Argument(metavar="MODEL...", help="Hub ids, folders, package:NAME, NAME=REF.")],
    data: Annotated[str, typer.Option(help="A BEIR or MS MARCO folder, or pydocs.")],
    output: Annotated[Path, typer.Option(help="A TREC run; of several models one each, named after it.")],
    split: Annotated[str, typer.Option(help="The split whose queries are re-ranked.")] = "test",
    depth: Annotated[int, typer.Option(min=1, help="Candidates of each query.")] = 100,
    candidates: Annotated[str, typer.Option(help="candidates/NAME.SPLIT.trec; bm25 is computed if missing.")] = "bm25",
    combine: Annotated[
        str | None, typer.Option(metavar="mean|standardised", help="Write the models' ensemble, too.")
    ] = None,
    architecture: Architecture = None,
    query_length: Length = None,
    document_length: Length = None,
    max_length: MaxLength = None,
    batch_size: BatchSize = 64,
    bf16: Bf16 = "auto",
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Re-rank the first stage's candidates with one ranker or several."""
    from distilkit.scoring.rerank import Rerank
    from distilkit.scoring.rerank import rerank as rerank_candidates

    request = Rerank(
        models=_references(models),
        data=data,
        output=output,
        runs_dir=runs_dir,
        split=split,
        depth=depth,
        candidates=candidates,
        combine=combine,
        architecture=architecture,
        query_length=query_length,
        document_length=document_length,
        max_length=max_length,
        batch_size=batch_size,
        bf16=_TOGGLES[bf16],
    )
    paths = rerank_candidates(request, quiet=json_)
    if paths is not None:
        written = {name: str(path) for name, path in paths.items()}
        print(json.dumps(written, indent=2) if json_ else "\n".join(written.values()))


@app.command()
def evaluate(
    runs: Annotated[Listed, typer.Argument(metavar="RUN...", help="TREC runs, plain or .gz; NAME=PATH renames.")],
    qrels: Annotated[Path, typer.Option(help="Judgements, TREC or BEIR TSV, plain or .gz.")],
    measures: Annotated[Listed, typer.Option(help="Measures as in ir-measures.")],
    json_: Json = False,
) -> None:
    """Measure TREC runs under the evaluation policy."""
    from distilkit.scoring.evaluate import evaluate_runs

    found = evaluate_runs(runs, qrels, _split(measures) or [])
    print(json.dumps(found.to_json(), indent=2) if json_ else found.to_text())


@app.command()
def retrieve(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A bert_dot or colbert: hub id, folder, run's folder.")],
    data: Annotated[str, typer.Option(help="A BEIR or MS MARCO folder, or pydocs.")],
    output: Annotated[Path, typer.Option(help="A TREC run.")],
    split: Annotated[str, typer.Option(help="The split whose queries are searched for; all for every query.")] = "test",
    depth: Annotated[int, typer.Option(min=1, help="Documents of each query.")] = 1000,
    index: Annotated[Path | None, typer.Option(help="Keep encoded documents in this folder, and reuse them.")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Documents' vectors in float16: half the memory.")] = False,
    faiss: Annotated[str | None, typer.Option(metavar="KIND", help="Search with FAISS: Flat, HNSW32, IVF...")] = None,
    architecture: Architecture = None,
    query_length: Length = None,
    document_length: Length = None,
    batch_size: BatchSize = 64,
    bf16: Bf16 = "auto",
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Search the whole collection, exactly: every query's best documents."""
    from distilkit.scoring.retrieve import Retrieve
    from distilkit.scoring.retrieve import retrieve as retrieve_documents

    request = Retrieve(
        model=model,
        data=data,
        output=output,
        runs_dir=runs_dir,
        split=split,
        depth=depth,
        index=index,
        fp16=fp16,
        faiss=faiss,
        architecture=architecture,
        query_length=query_length,
        document_length=document_length,
        batch_size=batch_size,
        bf16=_TOGGLES[bf16],
    )
    found = retrieve_documents(request, quiet=json_)
    if found is not None:
        print(json.dumps(found.to_json(), indent=2) if json_ else found.to_text())


@app.command()
def bench(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A hub id, a folder, a run's folder, package:NAME.")],
    depth: Annotated[list[int] | None, typer.Option(min=1, help="Documents of a query; repeatable.")] = None,
    batch_sizes: Annotated[Listed | None, typer.Option(help='Documents a forward pass: "16 32 64".')] = None,
    architecture: Annotated[str | None, typer.Option(help="The ranker to time around a bare encoder.")] = None,
    option: Annotated[Listed | None, typer.Option(metavar="K=V", help="Of such a ranker, such as dim=128.")] = None,
    shape: Annotated[str | None, typer.Option(help="Of such a ranker, such as L3_H384.")] = None,
    data: Annotated[str | None, typer.Option(help="Time on a collection's texts; made-up ones by default.")] = None,
    split: Annotated[str, typer.Option(help="The split of its queries.")] = "test",
    lengths: Annotated[str, typer.Option(help="Tokens of made-up queries and documents.")] = "28 198",
    query_length: Length = None,
    document_length: Length = None,
    max_length: Annotated[int | None, typer.Option(min=8, help="Tokens of a pair, for a bert_cat.")] = None,
    queries: Annotated[int, typer.Option(min=1, help="Queries that are timed.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, help="Queries before, which are not.")] = 3,
    tokenisation: Annotated[Literal["in", "out", "both"], typer.Option(help="Whether it counts.")] = "both",
    paper: Annotated[bool, typer.Option("--paper", help="Time as the Margin-MSE paper does, too.")] = False,
    bf16: Bf16 = "auto",
    output: Annotated[Path | None, typer.Option(help="Write the figures to a JSON file, too.")] = None,
    runs_dir: RunsDir = Path("runs"),
    json_: Json = False,
) -> None:
    """Measure a ranker's latency, index time, memory, multiply-accumulates and storage."""
    from distilkit.bench.bench import bench as measure
    from distilkit.bench.request import BATCH_SIZES, Bench, options_table
    from distilkit.files import write_json

    texts = _counts([lengths], "--lengths", "28 198")
    if len(texts) != 2:
        raise UserError(f"--lengths {lengths}: expected two whole numbers, of queries and of documents")
    request = Bench(
        model=model,
        depths=tuple(depth or (100,)),
        batch_sizes=tuple(_counts(batch_sizes, "--batch-sizes", "16 32 64") or BATCH_SIZES),
        architecture=architecture,
        options=options_table(option or []),
        shape=shape,
        data=data,
        split=split,
        text_lengths=(texts[0], texts[1]),
        query_length=query_length,
        document_length=document_length,
        max_length=max_length,
        queries=queries,
        warm_up=warm_up,
        tokenisation=tokenisation,
        paper=paper,
        bf16=_TOGGLES[bf16],
        runs_dir=runs_dir,
    )
    result = measure(request, quiet=json_)
    if output is not None:
        write_json(output, result.to_json())
    print(json.dumps(result.to_json(), indent=2) if json_ else result.to_text())


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A hub id, a folder, a run's folder.")],
    format_: Annotated[
        str, typer.Option("--format", metavar="cross-encoder|sentence-transformers|pylate|transformers")
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="A new folder.")],
    architecture: Architecture = None,
    json_: Json = False,
) -> None:
    """Write a ranker as the library of its kind loads it."""
    from distilkit.scoring.export import export as export_ranker

    found = export_ranker(model, format_, output, architecture)
    print(json.dumps(found.to_json(), indent=2) if json_ else found.to_text())


@app.command()
def strategies(
    name: Annotated[str | None, typer.Argument(help="One strategy, in full.")] = None, json_: Json = False
) -> None:
    """List the strategies, or explain one."""
    from distilkit.strategies.describe import explain, listing
    from distilkit.tables import table

    found = listing(name)
    if json_:
        print(json.dumps(found, indent=2))
    elif name is not None:
        print(explain(name))
    else:
        rows = [[row["name"], ", ".join(row["stages"]), row["paper"]] for row in found]
        print(table(["strategy", "stages", "paper"], rows))


@app.command()
def recipes(json_: Json = False) -> None:
    """List the recipes that come with distilkit."""
    from distilkit.recipe import load_recipe, shipped_recipes
    from distilkit.tables import table

    rows, suites = [], {}
    for name, path in shipped_recipes().items():
        loaded = load_recipe(path)
        strategies = loaded.matrix.strategies if loaded.matrix else (loaded.strategy["name"],)
        if loaded.matrix:
            suites[name] = f"a suite of {len(strategies)}"
        row = {"name": name, "strategy": ", ".join(strategies), "data": loaded.data.source}
        rows.append({**row, "description": loaded.description, "path": str(path)})
    if json_:
        print(json.dumps(rows, indent=2))
        return
    columns = ["name", "strategy", "data", "description"]
    shown = [{**row, "strategy": suites.get(row["name"], row["strategy"])} for row in rows]
    print(table(["recipe", *columns[1:]], [[row[column] for column in columns] for row in shown]))


@app.command()
def tui(runs_dir: RunsDir = Path("runs")) -> None:
    """Follow, start and compare runs in the terminal."""
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {runs_dir}: expected a folder")
    from distilkit_tui.app import run as show_runs

    show_runs(runs_dir)


def _finished(folder: Path, format_: str) -> str:
    from distilkit.runs.report import report
    from distilkit.runs.suite_report import suite_report

    screen = _screen(sys.stdout.isatty())
    return (suite_report if (folder / "suite.json").exists() else report)(folder, format_, screen)


def _screen(terminal: bool) -> Any:
    """Return what is printed on: bold and its own width on a terminal, plain and 120 columns elsewhere."""
    from distilkit.comparison.render import Screen

    if not terminal:
        return Screen(width=120)
    return Screen(max(80, shutil.get_terminal_size().columns), styled="NO_COLOR" not in os.environ)


def _run_name(name: str, runs_dir: Path) -> str:
    from distilkit.runs.state import locate

    found = locate(name, runs_dir).path.resolve()
    if not found.is_relative_to(runs_dir.resolve()):
        raise UserError(f"--resume {name}: the run is not in {runs_dir}; name its folder with --runs-dir")
    return str(found.relative_to(runs_dir.resolve()))


def _split(values: Listed | None) -> Listed | None:
    return [part for value in values for part in value.split()] if values else None


def _references(values: Listed) -> Listed:
    """Split a value at its blanks unless it is a path, which may hold some."""
    return [part for value in values for part in ([value] if Path(value).exists() else value.split())]


def _baselines(values: Listed | None, names: Listed) -> Listed | None:
    """Split a value at its blanks unless it is a system's name, which may hold some."""
    whole = [value for value in values or [] if value in names or value.rpartition(":")[0] in names]
    return [part for value in values for part in ([value] if value in whole else value.split())] if values else None


def _counts(values: Listed | None, option: str = "--depths", such_as: str = "10 20 50 100") -> list[int]:
    counts = []
    for text in _split(values) or []:
        if not text.isdecimal():
            raise UserError(f"{option} {text}: expected whole numbers, such as {such_as}")
        counts.append(int(text))
    return counts


def _levels(values: Listed | None) -> tuple[float, ...]:
    levels = []
    for text in _split(values) or []:
        try:
            levels.append(float(text))
        except ValueError:
            raise UserError(f"--alpha {text}: expected a number between 0 and 1") from None
    return tuple(levels)

"""What the verbs for runs and their comparison can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from distilkit.options.shared import Margin, Printed, RunsDir


@dataclass(frozen=True, kw_only=True)
class Run(Printed):
    """Train, evaluate and compare what a recipe names.

    Example: distilkit run quickstart --set train.learning_rate=1e-4 --name first
    """

    recipe: Annotated[str, Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")]
    set_: Annotated[list[str] | None, Option("--set", metavar="K=V", help="Change a key, as section.key=value.")] = None
    name: Annotated[str | None, Option(help="The run's name; the recipe's by default.")] = None
    runs_dir: RunsDir = Path("runs")
    seed: Annotated[int | None, Option(help="The seed of the student's training.")] = None
    resume: Annotated[str | None, Option(metavar="auto|RUN", help="Continue a run, or show a finished one.")] = None
    dry_run: Annotated[bool, Option("--dry-run", help="Show stages, steps, sizes and what is cached.")] = False
    allow_plugins: Annotated[
        bool | None,
        Option("--allow-plugins/--no-plugins", help="Run the recipe's plug-ins, with --dry-run too, or refuse them."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Compare(Printed):
    """Test whether the differences between systems are real.

    Example: distilkit compare runs/simplified_tinybert --baseline teacher --output report.html
    """

    systems: Annotated[
        list[str], Argument(metavar="SYSTEM...", help="Run folders, names of runs or suites, TREC run files.")
    ]
    baseline: Annotated[list[str] | None, Option(help="A system to compare with, NAME or NAME:LETTER; repeatable.")] = (
        None
    )
    pairs: Annotated[
        str, Option(metavar="baseline|all", help="Compare with the baselines, or every pair of systems.")
    ] = "baseline"
    measures: Annotated[list[str] | None, Option(help="Measures, named as in ir-measures.")] = None
    qrels: Annotated[Path | None, Option(help="The judgements: TREC or BEIR TSV, plain or .gz.")] = None
    eval_set: Annotated[
        list[str] | None, Option(help="Query sets of run folders; all that the runs share by default.")
    ] = None
    queries: Annotated[
        str,
        Option(metavar="judged|intersection", help="All judged queries, or those that every system has results for."),
    ] = "judged"
    test: Annotated[
        str, Option(metavar="t-test|wilcoxon|permutation|bootstrap", help="The paired test that gives p.")
    ] = "t-test"
    correction: Annotated[
        str, Option(metavar="none|bonferroni|holm|bh", help="The correction of p over all comparisons of the report.")
    ] = "holm"
    alpha: Annotated[list[str] | None, Option(help="Levels of significance; intervals use the larger one.")] = None
    non_inferiority: Annotated[float, Option(help="The margin of non-inferiority.")] = 0.03
    margin_kind: Annotated[Margin, Option(help="The margin as a share of the baseline's mean, or a difference.")] = (
        "relative"
    )
    equivalence: Annotated[bool, Option("--equivalence", help="Test equivalence at the margin, too.")] = False
    seeds: Annotated[
        str, Option(metavar="auto|mean|hierarchical", help="Test over queries (mean), or over queries and seeds.")
    ] = "auto"
    format_: Annotated[
        str | None,
        Option(
            "--format",
            metavar="text|markdown|latex|longtable|html|json|csv",
            help="The report's format; by default what the suffix of --output names, else text.",
        ),
    ] = None
    details: Annotated[bool, Option("--details", help="Show the figures of every comparison, too.")] = False
    tables: Annotated[
        list[str] | None, Option(metavar="budget|cost|depth|training|curve|fidelity", help="Further tables to show.")
    ] = None
    depths: Annotated[list[str] | None, Option(help="Re-ranking depths for the table of depths.")] = None
    latency: Annotated[
        bool, Option("--latency", help="Time all systems together now, by turns, and show the table of costs.")
    ] = False
    plots: Annotated[Path | None, Option(metavar="DIR", help="Write plots as PNG, SVG and PDF.")] = None
    output: Annotated[Path | None, Option(help="Write to a file instead of the screen.")] = None
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Runs(Printed):
    """List the runs: state, strategy, student, step and measures.

    Example: distilkit runs --json
    """

    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Clean(Printed):
    """Show what runs share on disk, and remove what no run needs: after a question, or with --yes.

    Example: distilkit clean
    """

    yes: Annotated[bool, Option("--yes", help="Remove it without asking; otherwise a question is asked first.")] = False
    finished: Annotated[bool, Option("--finished", help="Remove what only finished runs need, too.")] = False
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Show(Printed):
    """Show one run: state, settings, validation, cost, measures.

    Example: distilkit show simplified_tinybert
    """

    name: Annotated[str, Argument(metavar="RUN", help="A run's name or folder.")]
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Tui:
    """Follow, start and compare runs in the terminal.

    Example: distilkit tui
    """

    runs_dir: RunsDir = Path("runs")

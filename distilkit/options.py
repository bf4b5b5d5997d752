"""What each verb can be asked: one frozen dataclass a verb, whose fields are its arguments and options.

`cli` makes the verbs out of these, and `commands` reads them. Options that several verbs share are declared once: as
the fields of a base class, or as an annotation where only some verbs have them. Nothing here imports more than typer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from distilkit.errors import UserError

RunsDir = Annotated[Path, Option("--runs-dir", envvar="DISTILKIT_RUNS", help="The folder of all runs.")]
Length = Annotated[int | None, Option(min=3, help="Tokens of one, read apart; the model's own by default.")]
MaxLength = Annotated[int | None, Option(min=8, help="Tokens of a pair read together; the model's own.")]
Model = Annotated[
    str, Argument(metavar="MODEL", help="A run's name or folder, a model's folder, a hub id, or package:NAME.")
]
Data = Annotated[
    str,
    Option(help="A BEIR or MS MARCO folder, pydocs, or a source and what it reads, such as ir_datasets:beir/scifact."),
]
Prefix = Annotated[str | None, Option(help="Text before each; the model's own by default.")]
Architecture = Annotated[str | None, Option(help="Which ranker a model is that does not say so.")]
BatchSize = Annotated[int, Option(min=1, help="Pairs a forward pass.")]
Toggle = Literal["auto", "true", "false"]
Margin = Literal["relative", "absolute"]
Tokenisation = Literal["in", "out", "both"]

# Gao et al. 2020 keep the best of 64, 128, 256 and 512 on GPUs; small batches are the better ones on CPUs.
BATCH_SIZES = (16, 32, 64, 128, 256, 512)
# Hofstätter et al. 2020: special tokens on top, these fill the 30 and 200 tokens that queries and passages are cut to.
TEXT_LENGTHS = "28 198"


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A verb that can print JSON."""

    json_: Annotated[bool, Option("--json", help="Print JSON for scripts.")] = False


@dataclass(frozen=True, kw_only=True)
class Ranking(Printed):
    """A verb that computes with rankers: which ones they are, what they read, and in which precision."""

    architecture: Architecture = None
    query_length: Length = None
    document_length: Length = None
    query_prefix: Prefix = None
    document_prefix: Prefix = None
    bf16: Annotated[Toggle, Option(help="bfloat16; auto where the device is fast at it.")] = "auto"
    runs_dir: RunsDir = Path("runs")

    @property
    def wants_bf16(self) -> bool | str:
        """The choice of bfloat16 as `choose_precision` takes it."""
        return self.bf16 if self.bf16 == "auto" else self.bf16 == "true"


@dataclass(frozen=True, kw_only=True)
class Run(Printed):
    """Train, evaluate and compare what a recipe names.

    Example: distilkit run quickstart --set train.learning_rate=1e-4 --name first
    """

    recipe: Annotated[str, Argument(metavar="RECIPE", help="A TOML file, or the name of a shipped recipe.")]
    set_: Annotated[list[str] | None, Option("--set", metavar="K=V", help="Change a key, as section.key=value.")] = None
    name: Annotated[str | None, Option(help="The run's name; the recipe's by default.")] = None
    runs_dir: RunsDir = Path("runs")
    seed: Annotated[int | None, Option(help="The student's seed.")] = None
    resume: Annotated[str | None, Option(metavar="auto|RUN", help="Continue a run, or print a finished one.")] = None
    dry_run: Annotated[bool, Option("--dry-run", help="Show stages, steps, sizes and what is cached.")] = False
    allow_plugins: Annotated[
        bool | None,
        Option("--allow-plugins/--no-plugins", help="Run the recipe's plug-ins, by --dry-run too, or never."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Compare(Printed):
    """Test whether the differences between systems are real.

    Example: distilkit compare runs/simplified_tinybert --baseline teacher --output report.html
    """

    systems: Annotated[
        list[str], Argument(metavar="SYSTEM...", help="Run folders, names of runs or suites, TREC run files.")
    ]
    baseline: Annotated[list[str] | None, Option(help="NAME or NAME:LETTER; repeatable.")] = None
    pairs: Annotated[str, Option(metavar="baseline|all", help="Against the baselines, or all with all.")] = "baseline"
    measures: Annotated[list[str] | None, Option(help="Measures as in ir-measures.")] = None
    qrels: Annotated[Path | None, Option(help="Judgements, TREC or BEIR TSV, plain or .gz.")] = None
    eval_set: Annotated[
        list[str] | None, Option(help="Query sets of run folders; all that the runs share by default.")
    ] = None
    queries: Annotated[
        str,
        Option(metavar="judged|intersection", help="All judged queries, or those that every system has results for."),
    ] = "judged"
    test: Annotated[
        str, Option(metavar="t-test|wilcoxon|permutation|bootstrap", help="The paired test that p is of.")
    ] = "t-test"
    correction: Annotated[
        str, Option(metavar="none|bonferroni|holm|bh", help="The correction of p over all comparisons of the report.")
    ] = "holm"
    alpha: Annotated[list[str] | None, Option(help="Levels of the marks, the larger one the interval's.")] = None
    non_inferiority: Annotated[float, Option(help="The margin of non-inferiority.")] = 0.03
    margin_kind: Annotated[Margin, Option(help="Whether the margin is a share of the baseline's mean.")] = "relative"
    equivalence: Annotated[bool, Option("--equivalence", help="Test equivalence at the margin, too.")] = False
    seeds: Annotated[str, Option(metavar="mean|hierarchical", help="What several seeds of a run are.")] = "mean"
    format_: Annotated[
        str | None,
        Option(
            "--format",
            metavar="text|markdown|latex|longtable|html|json|csv",
            help="The report's format; by default what the suffix of --output names, else text.",
        ),
    ] = None
    details: Annotated[bool, Option("--details", help="Show every comparison's figures in text.")] = False
    tables: Annotated[
        list[str] | None, Option(metavar="budget|cost|depth|training|curve|fidelity", help="Tables beside the means.")
    ] = None
    depths: Annotated[list[str] | None, Option(help="Depths of the table of re-ranking depths.")] = None
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

    yes: Annotated[bool, Option("--yes", help="Remove it; else nothing is, but after a question.")] = False
    finished: Annotated[bool, Option("--finished", help="Finished runs count as needing nothing.")] = False
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Show(Printed):
    """Show one run: state, settings, validation, cost, measures.

    Example: distilkit show simplified_tinybert
    """

    name: Annotated[str, Argument(metavar="RUN", help="A run's name or folder.")]
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Score(Ranking):
    """Score triples, pairs or candidates with one teacher or several: raw logits.

    Example: distilkit score --model my-teacher --triples triples.tsv --data my-collection --output scores.tsv
    """

    model: Annotated[
        list[str], Option(metavar="MODEL", help="A teacher: a run, a folder, a hub id, package:NAME; or NAME=MODEL.")
    ]
    output: Annotated[Path, Option(metavar="FILE.tsv|FILE.parquet", help="Where the scores go.")]
    triples: Annotated[Path | None, Option(help="Query, positive, negative between tabs, ids or texts.")] = None
    pairs: Annotated[Path | None, Option(help="Query id and passage id between tabs.")] = None
    run: Annotated[Path | None, Option(help="The candidates of a TREC run.")] = None
    data: Annotated[str | None, Option(help="The texts: a folder or another source, as of rerank.")] = None
    collection: Annotated[list[Path] | None, Option(help="Passages: id and text, TSV or .jsonl.")] = None
    queries: Annotated[list[Path] | None, Option(help="Queries: id and text, TSV or .jsonl.")] = None
    combine: Annotated[str, Option(metavar="mean|standardised", help="An ensemble's score.")] = "mean"
    resume: Annotated[bool, Option("--resume", help="Go on with what a killed process left.")] = False
    audit: Annotated[bool, Option("--audit", help="Print and plot ranges, margins, ties.")] = False
    max_length: MaxLength = None
    batch_size: BatchSize = 64
    bf16: Annotated[Toggle, Option(help="bfloat16: coarse scores, some equal.")] = "false"


@dataclass(frozen=True, kw_only=True)
class Rerank(Ranking):
    """Re-rank the first stage's candidates with one ranker or several.

    Example: distilkit rerank simplified_tinybert --data my-collection --output mine.trec
    """

    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL...",
            help="As a run's name or folder, a model's folder, a hub id, package:NAME; NAME=MODEL names its scores.",
        ),
    ]
    data: Data
    output: Annotated[Path, Option(help="A TREC run; of several models one each, named after it.")]
    split: Annotated[str, Option(help="The split whose queries are re-ranked.")] = "test"
    depth: Annotated[int, Option(min=1, help="Candidates of each query.")] = 100
    candidates: Annotated[str, Option(help="candidates/NAME.SPLIT.trec; bm25 is computed if missing.")] = "bm25"
    combine: Annotated[str | None, Option(metavar="mean|standardised", help="Write the models' ensemble, too.")] = None
    max_length: MaxLength = None
    batch_size: BatchSize = 64


@dataclass(frozen=True, kw_only=True)
class Evaluate(Printed):
    """Measure TREC runs under the evaluation policy.

    Example: distilkit evaluate mine.trec --qrels my-collection/qrels/test.tsv --measures "nDCG@10 RR@10"
    """

    runs: Annotated[list[str], Argument(metavar="RUN...", help="TREC runs, plain or .gz; NAME=PATH renames.")]
    qrels: Annotated[Path, Option(help="Judgements, TREC or BEIR TSV, plain or .gz.")]
    measures: Annotated[list[str], Option(help="Measures as in ir-measures.")]
    exclude_self: Annotated[
        bool | None,
        Option(
            "--exclude-self/--keep-self",
            help="Leave out documents with their query's id, as BEIR does; by default unless ids are numbers.",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Retrieve(Ranking):
    """Search the whole collection, exactly: every query's best documents.

    Example: distilkit retrieve my-bi-encoder --data my-collection --output mine.trec --depth 100
    """

    model: Model
    data: Data
    output: Annotated[Path, Option(help="A TREC run.")]
    split: Annotated[str, Option(help="The split whose queries are searched for; all for every query.")] = "test"
    depth: Annotated[int, Option(min=1, help="Documents of each query.")] = 1000
    index: Annotated[Path | None, Option(help="Keep encoded documents in this folder, and reuse them.")] = None
    fp16: Annotated[bool, Option("--fp16", help="Documents' vectors in float16: half the memory.")] = False
    faiss: Annotated[str | None, Option(metavar="KIND", help="Search with FAISS: Flat, HNSW32, IVF...")] = None
    batch_size: BatchSize = 64


@dataclass(frozen=True, kw_only=True)
class Bench(Ranking):
    """Measure a ranker's latency, index time, memory, multiply-accumulates and storage.

    Example: distilkit bench simplified_tinybert --depth 100
    """

    model: Model
    depth: Annotated[list[int] | None, Option(min=1, help="Documents of a query; repeatable.")] = None
    batch_sizes: Annotated[list[str] | None, Option(help='Documents a forward pass: "16 32 64".')] = None
    architecture: Annotated[str | None, Option(help="The ranker to time around a bare encoder.")] = None
    option: Annotated[list[str] | None, Option(metavar="K=V", help="Of such a ranker, such as dim=128.")] = None
    shape: Annotated[str | None, Option(help="Of such a ranker, such as L3_H384.")] = None
    data: Annotated[str | None, Option(help="Time on the texts of a collection, named as for rerank.")] = None
    split: Annotated[str, Option(help="The split of its queries.")] = "test"
    lengths: Annotated[str, Option(help="Tokens of made-up queries and documents.")] = TEXT_LENGTHS
    max_length: MaxLength = None
    queries: Annotated[int, Option(min=1, help="Queries that are timed.")] = 20
    warm_up: Annotated[int, Option(min=0, help="Queries before, which are not.")] = 3
    tokenisation: Annotated[Tokenisation, Option(help="Whether it counts.")] = "both"
    paper: Annotated[bool, Option("--paper", help="Time as the Margin-MSE paper does, too.")] = False
    output: Annotated[Path | None, Option(help="Write the figures to a JSON file, too.")] = None

    @property
    def depths(self) -> list[int]:
        """How many documents a query ranks, one figure a measurement."""
        return self.depth or [100]

    @property
    def sizes(self) -> list[int]:
        """The batch sizes to try."""
        return whole_numbers(self.batch_sizes, "--batch-sizes", "16 32 64") or list(BATCH_SIZES)

    @property
    def text_lengths(self) -> tuple[int, int]:
        """Tokens of made-up queries and of made-up documents, special tokens not counted."""
        found = whole_numbers([self.lengths], "--lengths", TEXT_LENGTHS)
        if len(found) != 2:
            raise UserError(f"--lengths {self.lengths}: expected two whole numbers, of queries and of documents")
        return found[0], found[1]

    def check(self) -> None:
        """Raise UserError for counts that nothing can be timed with."""
        named = {"--depth": self.depths, "--batch-sizes": self.sizes, "--lengths": self.text_lengths}
        for name, values in named.items():
            if min(values) < 1:
                raise UserError(f"{name}: expected whole numbers from 1")
        if self.architecture is None and (self.option or self.shape is not None):
            raise UserError("--option and --shape are for a new ranker around an encoder: name its --architecture")


@dataclass(frozen=True, kw_only=True)
class Export(Printed):
    """Write a ranker as the library of its kind loads it.

    Example: distilkit export simplified_tinybert --format cross-encoder --output my-cross-encoder
    """

    model: Model
    format_: Annotated[
        str,
        Option(
            "--format",
            metavar="cross-encoder|sentence-transformers|pylate|transformers",
            help="The library that is to load it.",
        ),
    ]
    output: Annotated[Path, Option(metavar="DIR", help="A new folder.")]
    architecture: Architecture = None
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Push(Printed):
    """Upload a run's model with its card to the Hugging Face hub: after a question, or with --yes.

    Example: distilkit push simplified_tinybert --to my-name/my-ranker
    """

    run: Annotated[str, Argument(metavar="RUN", help="A run's name or folder, or a model's folder.")]
    to: Annotated[str, Option(metavar="OWNER/NAME", help="The repository, made where there is none.")]
    yes: Annotated[bool, Option("--yes", help="Upload it; else nothing is, but after a question.")] = False
    private: Annotated[bool, Option("--private", help="Make a new repository private.")] = False
    license_: Annotated[str | None, Option("--license", help="For the card, such as apache-2.0.")] = None
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Strategies(Printed):
    """List the strategies, or explain one.

    Example: distilkit strategies margin_mse
    """

    name: Annotated[str | None, Argument(help="One strategy, in full.")] = None


@dataclass(frozen=True, kw_only=True)
class Recipes(Printed):
    """List the recipes that come with distilkit.

    Example: distilkit recipes
    """


@dataclass(frozen=True, kw_only=True)
class RecipeKeys(Printed):
    """List the keys of a recipe with what they take, their defaults and help.

    Example: distilkit recipe-keys data
    """

    section: Annotated[
        str | None, Argument(help="Such as train, data.passages, evaluate.sets or strategy.margin_mse; all by default.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class Doctor(Printed):
    """Show versions, devices, fast number formats, missing extras and the folders of caches.

    Example: distilkit doctor
    """

    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Tui:
    """Follow, start and compare runs in the terminal.

    Example: distilkit tui
    """

    runs_dir: RunsDir = Path("runs")


def split(values: list[str] | None) -> list[str] | None:
    """Return the words of an option's values, None where it was not given."""
    return [word for value in values for word in value.split()] if values else None


def references(values: list[str]) -> list[str]:
    """Return the model references of an option's values: words, or paths, which may hold blanks."""
    return [part for value in values for part in ([value] if Path(value).exists() else value.split())]


def whole_numbers(values: list[str] | None, option: str, such_as: str) -> list[int]:
    """Return the numbers of an option's values; raises UserError for a word that is none."""
    words = split(values) or []
    wrong = next((word for word in words if not word.isdecimal()), None)
    if wrong is not None:
        raise UserError(f"{option} {wrong}: expected whole numbers, such as {such_as}")
    return [int(word) for word in words]


def require_runs_dir(runs_dir: Path) -> None:
    """Raise UserError for a --runs-dir that is a file."""
    if runs_dir.exists() and not runs_dir.is_dir():
        raise UserError(f"--runs-dir {runs_dir}: expected a folder")

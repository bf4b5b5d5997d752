"""What each verb can be asked: one frozen dataclass a verb, whose fields are its arguments and options.

`cli` makes the verbs out of these, and `commands` reads them. Options that several verbs share are declared once, in
`shared_options`. Nothing here imports more than typer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from distilkit.errors import UserError
from distilkit.option_values import whole_numbers
from distilkit.shared_options import Architecture, BatchSize, Data, MaxLength, Model, Printed, Ranking, RunsDir, Toggle

Tokenisation = Literal["in", "out", "both"]
Margin = Literal["relative", "absolute"]
# Gao et al. 2020 keep the best of 64, 128, 256 and 512 on GPUs; small batches are the better ones on CPUs.
BATCH_SIZES = (16, 32, 64, 128, 256, 512)
# Hofstätter et al. 2020: special tokens on top, these fill the 30 and 200 tokens that queries and passages are cut to.
TEXT_LENGTHS = "28 198"


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
    pairs: Annotated[str, Option(metavar="baseline|all", help="Compare with the baselines, or all with all.")] = (
        "baseline"
    )
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
    margin_kind: Annotated[Margin, Option(help="Whether the margin is a share of the baseline's mean.")] = "relative"
    equivalence: Annotated[bool, Option("--equivalence", help="Test equivalence at the margin, too.")] = False
    seeds: Annotated[
        str, Option(metavar="auto|mean|hierarchical", help="Test over queries alone, or over seeds too.")
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
class Score(Ranking):
    """Score triples, pairs or candidates with one teacher or several: raw logits.

    Example: distilkit score --model my-teacher --triples triples.tsv --data my-collection --output scores.tsv
    """

    model: Annotated[
        list[str],
        Option(metavar="MODEL", help="A teacher: a run, a folder, a hub id, package:NAME; or NAME=MODEL."),
    ]
    output: Annotated[Path, Option(metavar="FILE.tsv|FILE.parquet", help="The file that the scores are written to.")]
    triples: Annotated[
        Path | None, Option(help="Triples: query, positive, negative between tabs, as ids or texts.")
    ] = None
    pairs: Annotated[Path | None, Option(help="Pairs: query id and passage id between tabs.")] = None
    run: Annotated[Path | None, Option(help="A TREC run whose candidates are scored.")] = None
    data: Annotated[str | None, Option(help="The collection with the texts, as for rerank.")] = None
    collection: Annotated[list[Path] | None, Option(help="Passages: id and text, TSV or .jsonl.")] = None
    queries: Annotated[list[Path] | None, Option(help="Queries: id and text, TSV or .jsonl.")] = None
    combine: Annotated[str, Option(metavar="mean|standardised", help="How several teachers' scores are combined.")] = (
        "mean"
    )
    resume: Annotated[bool, Option("--resume", help="Continue what a stopped process left.")] = False
    audit: Annotated[bool, Option("--audit", help="Print and plot the ranges, margins and ties of the scores.")] = False
    max_length: MaxLength = None
    batch_size: BatchSize = 64
    bf16: Annotated[Toggle, Option(help="Compute in bfloat16: faster, but some scores become equal.")] = "false"


@dataclass(frozen=True, kw_only=True)
class Rerank(Ranking):
    """Re-rank the first stage's candidates with one ranker or several.

    Example: distilkit rerank simplified_tinybert --data my-collection --output mine.trec
    """

    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL...",
            help="A run's name or folder, a model's folder, a hub id or package:NAME; NAME=MODEL names its scores.",
        ),
    ]
    data: Data
    output: Annotated[Path, Option(help="The TREC run to write; of several models one each, named after them.")]
    split: Annotated[str, Option(help="The split whose queries are re-ranked.")] = "test"
    depth: Annotated[int, Option(min=1, help="How many candidates of each query are re-ranked.")] = 100
    candidates: Annotated[str, Option(help="The file candidates/NAME.SPLIT.trec; bm25 is computed if missing.")] = (
        "bm25"
    )
    combine: Annotated[str | None, Option(metavar="mean|standardised", help="Also write the models' ensemble.")] = None
    max_length: MaxLength = None
    batch_size: BatchSize = 64


@dataclass(frozen=True, kw_only=True)
class Evaluate(Printed):
    """Measure TREC runs under the evaluation policy.

    Example: distilkit evaluate mine.trec --qrels my-collection/qrels/test.tsv --measures "nDCG@10 RR@10"
    """

    runs: Annotated[list[str], Argument(metavar="RUN...", help="TREC runs, plain or .gz; NAME=PATH names one.")]
    qrels: Annotated[Path, Option(help="The judgements: TREC or BEIR TSV, plain or .gz.")]
    measures: Annotated[list[str], Option(help="Measures, named as in ir-measures.")]
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
    output: Annotated[Path, Option(help="The TREC run to write.")]
    split: Annotated[str, Option(help="The split whose queries are answered; all: every query.")] = "test"
    depth: Annotated[int, Option(min=1, help="How many documents are returned for each query.")] = 1000
    index: Annotated[Path | None, Option(help="Keep encoded documents in this folder, and reuse them.")] = None
    fp16: Annotated[bool, Option("--fp16", help="Keep document vectors in float16, which halves the memory.")] = False
    faiss: Annotated[str | None, Option(metavar="KIND", help="Search with FAISS: Flat, HNSW32, IVF...")] = None
    batch_size: BatchSize = 64


@dataclass(frozen=True, kw_only=True)
class Bench(Ranking):
    """Measure a ranker's latency, index time, memory, multiply-accumulates and storage.

    Example: distilkit bench simplified_tinybert --depth 100
    """

    model: Model
    depth: Annotated[list[int] | None, Option(min=1, help="How many documents a query ranks; repeatable.")] = None
    batch_sizes: Annotated[list[str] | None, Option(help='Batch sizes to try, such as "16 32 64".')] = None
    architecture: Annotated[str | None, Option(help="The architecture to time a bare encoder as.")] = None
    option: Annotated[list[str] | None, Option(metavar="K=V", help="An option of that ranker, such as dim=128.")] = None
    shape: Annotated[str | None, Option(help="The shape of that ranker, such as L3_H384.")] = None
    data: Annotated[str | None, Option(help="A collection whose texts are timed; made-up texts by default.")] = None
    split: Annotated[str, Option(help="The split of the collection whose queries are timed.")] = "test"
    lengths: Annotated[str, Option(help="How many tokens made-up queries and documents have.")] = TEXT_LENGTHS
    max_length: MaxLength = None
    queries: Annotated[int, Option(min=1, help="How many queries are timed.")] = 20
    warm_up: Annotated[int, Option(min=0, help="How many queries are run before, untimed.")] = 3
    tokenisation: Annotated[Tokenisation, Option(help="Whether the time of tokenisation counts.")] = "both"
    paper: Annotated[bool, Option("--paper", help="Also time as the Margin-MSE paper does.")] = False
    output: Annotated[Path | None, Option(help="A JSON file that the figures are also written to.")] = None

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
            metavar="cross-encoder|sentence-transformers|pylate|transformers|onnx",
            help="The library that loads the result.",
        ),
    ]
    output: Annotated[Path, Option(metavar="DIR", help="The folder to write, which must not exist.")]
    quantize: Annotated[
        str | None, Option(metavar="int8", help="Of --format onnx: store weights as whole numbers of 8 bits.")
    ] = None
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

    name: Annotated[str | None, Argument(help="The strategy to explain.")] = None


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

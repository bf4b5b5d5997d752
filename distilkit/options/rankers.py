"""What the verbs that compute with rankers can be asked, and `evaluate`, which measures their rankings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from distilkit.errors import UserError
from distilkit.option_values import whole_numbers
from distilkit.options.shared import (
    BATCH_SIZES,
    TEXT_LENGTHS,
    BatchSize,
    Data,
    MaxLength,
    Model,
    Printed,
    RankerVerb,
    Toggle,
    Tokenisation,
)


@dataclass(frozen=True, kw_only=True)
class Score(RankerVerb):
    """Score triples, pairs or candidates with one teacher or several: raw logits.

    Example: distilkit score --model my-teacher --triples triples.tsv --data my-collection --output scores.tsv
    """

    model: Annotated[
        list[str],
        Option(metavar="MODEL", help="A teacher: a run, a folder, a hub id, package:NAME; or NAME=MODEL."),
    ]
    output: Annotated[Path, Option(metavar="FILE.tsv|FILE.parquet", help="The file that the scores are written to.")]
    triples: Annotated[
        Path | None, Option(help="Triples: query, positive, negative, separated by tabs, as ids or texts.")
    ] = None
    pairs: Annotated[Path | None, Option(help="Pairs: query id and passage id, separated by a tab.")] = None
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
class Rerank(RankerVerb):
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
    cost: Annotated[
        bool, Option("--cost", help="Also time the models by turns; compare reads the NAME.cost.json beside each run.")
    ] = False
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
class Retrieve(RankerVerb):
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
class Bench(RankerVerb):
    """Measure a ranker's latency, index time, memory, multiply-accumulates and storage.

    Example: distilkit bench simplified_tinybert --depth 100
    """

    model: Model
    depth: Annotated[list[int] | None, Option(min=1, help="How many documents a query ranks; repeatable.")] = None
    batch_sizes: Annotated[list[str] | None, Option(help='Batch sizes to try, such as "16 32 64".')] = None
    architecture: Annotated[str | None, Option(help="The ranker that a bare encoder is timed as.")] = None
    option: Annotated[list[str] | None, Option(metavar="K=V", help="An option of that ranker, such as dim=128.")] = None
    shape: Annotated[str | None, Option(help="The shape of that ranker, such as L3_H384.")] = None
    data: Annotated[str | None, Option(help="A collection whose texts are timed; made-up texts by default.")] = None
    split: Annotated[str, Option(help="The split of the collection whose queries are timed.")] = "test"
    lengths: Annotated[str, Option(help="How many tokens made-up queries and documents have.")] = TEXT_LENGTHS
    max_length: MaxLength = None
    queries: Annotated[int, Option(min=1, help="How many queries are timed.")] = 20
    warm_up: Annotated[int, Option(min=0, help="How many queries are run first, untimed, to warm up.")] = 3
    tokenisation: Annotated[Tokenisation, Option(help="Whether the time that tokenisation takes is included.")] = "both"
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

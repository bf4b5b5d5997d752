"""The options that several verbs share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

RunsDir = Annotated[Path, Option("--runs-dir", envvar="DISTILKIT_RUNS", help="The folder of all runs.")]
QueryLength = Annotated[
    int | None,
    Option(min=3, help="The most tokens of a query that is read without a passage; by default what the model states."),
]
DocumentLength = Annotated[
    int | None,
    Option(min=3, help="The most tokens of a passage that is read without a query; by default what the model states."),
]
MaxLength = Annotated[
    int | None,
    Option(min=8, help="The most tokens of query and passage read together; by default what the model states."),
]
Model = Annotated[
    str, Argument(metavar="MODEL", help="A run's name or folder, a model's folder, a hub id, or package:NAME.")
]
Data = Annotated[
    str,
    Option(help="The collection: a BEIR or MS MARCO folder, pydocs, or SOURCE:WHAT such as ir_datasets:beir/scifact."),
]
QueryPrefix = Annotated[str | None, Option(help="Text put before each query; by default what the model states.")]
DocumentPrefix = Annotated[str | None, Option(help="Text put before each passage; by default what the model states.")]
Architecture = Annotated[str | None, Option(help="The architecture of a model whose folder does not say it.")]
BatchSize = Annotated[int, Option(min=1, help="How many pairs a forward pass reads.")]
License = Annotated[
    str | None, Option("--license", help="The licence in the model's card, as the hub names it, such as apache-2.0.")
]
Toggle = Literal["auto", "true", "false"]
Backend = Literal["auto", "torch", "onnx"]
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
class RankerVerb(Printed):
    """A verb that computes with rankers: which ones they are, what they read, and in which precision."""

    architecture: Architecture = None
    query_length: QueryLength = None
    document_length: DocumentLength = None
    query_prefix: QueryPrefix = None
    document_prefix: DocumentPrefix = None
    bf16: Annotated[Toggle, Option(help="Compute in bfloat16; auto: where the device is fast at it.")] = "auto"
    backend: Annotated[
        Backend, Option(help="Compute with PyTorch, or with onnxruntime on the CPU; auto: what the folder is for.")
    ] = "auto"
    runs_dir: RunsDir = Path("runs")

    @property
    def wants_bf16(self) -> bool | str:
        """The choice of bfloat16 as `choose_precision` takes it."""
        return self.bf16 if self.bf16 == "auto" else self.bf16 == "true"

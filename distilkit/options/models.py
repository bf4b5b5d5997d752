"""What the verbs that hand on a model can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from distilkit.options.shared import Architecture, BatchSize, License, MaxLength, Model, Printed, RankerVerb, RunsDir


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
            help="The library that is to load the result.",
        ),
    ]
    output: Annotated[Path, Option(metavar="DIR", help="The folder to write, which must not exist.")]
    quantize: Annotated[
        str | None, Option(metavar="int8", help="With --format onnx: store the weights as 8-bit integers.")
    ] = None
    license_: License = None
    architecture: Architecture = None
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Push(Printed):
    """Upload a run's model with its card to the Hugging Face hub: after a question, or with --yes.

    Example: distilkit push simplified_tinybert --to my-name/my-ranker
    """

    run: Annotated[str, Argument(metavar="RUN", help="A run's name or folder, or a model's folder.")]
    to: Annotated[str, Option(metavar="OWNER/NAME", help="The repository; it is created if it does not exist.")]
    yes: Annotated[bool, Option("--yes", help="Upload without asking; otherwise a question is asked first.")] = False
    private: Annotated[bool, Option("--private", help="Make a new repository private.")] = False
    license_: License = None
    runs_dir: RunsDir = Path("runs")


@dataclass(frozen=True, kw_only=True)
class Serve(RankerVerb):
    """Answer HTTP requests to re-rank texts, in the forms of text-embeddings-inference and Cohere.

    Example: distilkit serve simplified_tinybert --port 8080
    """

    model: Model
    host: Annotated[str, Option(help="The address to listen at; by default this machine alone reaches it.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Option(min=0, max=65535, help="The port to listen at; 0: any that is free.")] = 8080
    max_length: MaxLength = None
    batch_size: BatchSize = 64
    max_body: Annotated[float, Option(min=0.001, max=1024, help="The largest body of a request, in MiB.")] = 8
    max_texts: Annotated[int, Option(min=1, help="The most texts of a request.")] = 1000
    max_characters: Annotated[int, Option(min=1, help="The longest text of a request.")] = 100_000
    max_waiting: Annotated[
        int, Option(min=1, help="Refuse requests while so many texts of others wait to be scored.")
    ] = 10_000

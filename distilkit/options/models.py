"""What the verbs that hand on a model can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from distilkit.options.shared import Architecture, Model, Printed, RunsDir


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

"""`distilkit export`: a ranker, of a run or published, as a folder that the library of its kind loads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilkit import options
from distilkit.commands.output import printed
from distilkit.errors import UserError, nearest
from distilkit.models.save import is_stanford, save_ranker
from distilkit.scoring.rankers import named, open_ranker


@dataclass(frozen=True)
class Format:
    """A library's way of loading a ranker, and which rankers score there as they do here."""

    takes: Callable[[Any], bool]
    loads: str


def _is_colbert_there(ranker: Any) -> bool:
    return bool(ranker.architecture == "colbert" and is_stanford(ranker.options))


def _is_bare_dot(ranker: Any) -> bool:
    return bool(ranker.architecture == "bert_dot" and ranker.options.dim is None)


FORMATS = {
    "cross-encoder": Format(
        lambda ranker: ranker.architecture == "bert_cat", "sentence_transformers.CrossEncoder({folder!r})"
    ),
    "sentence-transformers": Format(
        lambda ranker: ranker.architecture == "bert_dot", "sentence_transformers.SentenceTransformer({folder!r})"
    ),
    "pylate": Format(_is_colbert_there, "pylate.models.ColBERT({folder!r})"),
    "transformers": Format(
        lambda ranker: ranker.architecture == "bert_cat" or _is_bare_dot(ranker), "transformers.{kind}({folder!r})"
    ),
}


@dataclass(frozen=True)
class Exported:
    """What was written, and how it is loaded."""

    output: Path
    format: str
    architecture: str
    loads: str

    def to_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return {**vars(self), "output": str(self.output)}

    def to_text(self) -> str:
        """Return it for people."""
        return f"a {self.architecture} for {self.format}: {self.output}\nload it with {self.loads}"


def export(asked: options.Export) -> str:
    """Write a ranker to a new folder; return where it is and how it is loaded.

    Raises UserError for an unknown format, one that the ranker cannot be loaded in, and a folder that is not empty.
    """
    reference, format_, output = asked.model, asked.format_, asked.output
    if format_ not in FORMATS:
        raise UserError(f"--format {format_}: there is no such format{nearest(format_, FORMATS)}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output}: exists already; choose a new folder")
    opened = open_ranker(reference, asked.architecture)
    ranker = opened.ranker
    fitting = [name for name, one in FORMATS.items() if one.takes(ranker)]
    if format_ not in fitting:
        known = f"it takes {', '.join(fitting)}" if fitting else "it loads in distilkit alone"
        form = " of its options" if ranker.architecture in ("colbert", "bert_dot") else ""
        raise UserError(f"--format {format_}: {reference} is a {ranker.architecture}{form}, and {known}")
    save_ranker(
        ranker,
        opened.tokenizer,
        output,
        max_length=opened.max_length,
        query_length=opened.query_length,
        document_length=opened.document_length,
        name=named([reference])[0].name,
    )
    kind = "AutoModelForSequenceClassification" if ranker.architecture == "bert_cat" else "AutoModel"
    loads = FORMATS[format_].loads.format(folder=str(output), kind=f"{kind}.from_pretrained")
    return printed(Exported(output, format_, ranker.architecture, loads), asked)

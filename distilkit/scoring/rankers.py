"""The rankers that a command names, opened for scoring."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from distilkit.data.side_tokens import DOCUMENT_LENGTH, QUERY_LENGTH, SideTokens
from distilkit.data.tokens import PairTemplate, PairTokens, TokenStore, tokenizer_identity
from distilkit.errors import UserError
from distilkit.models.checkpoints import load_ranker, ranker_entry
from distilkit.models.load import load_tokenizer
from distilkit.models.references import PREFIX, content_hash, local_folder
from distilkit.runs.artifacts import Artifacts
from distilkit.runs.materials import Materials
from distilkit.settings import DataSettings

MAX_LENGTH = 256
RESERVED = ("query_id", "doc_id", "score", "ensemble")


class Named(NamedTuple):
    """A model reference and the name that its scores go by."""

    name: str
    reference: str


@dataclass(frozen=True)
class OpenRanker:
    """A ranker in evaluation mode, with its tokenizer and the lengths that it reads queries, documents or pairs to.

    The lengths are those it was saved with, else the papers'.
    """

    ranker: Any
    tokenizer: Any
    folder: Path
    weights: str
    query_length: int = QUERY_LENGTH
    document_length: int = DOCUMENT_LENGTH
    max_length: int = MAX_LENGTH

    @property
    def reads_pairs(self) -> bool:
        """Whether queries and documents are packed into one sequence."""
        return bool(self.ranker.inputs == "pair")

    def stored_length(self, max_length: int) -> int:
        """Return how many tokens of a text are needed at most."""
        return max_length if self.reads_pairs else max(self.query_length, self.document_length)

    def with_lengths(
        self, query_length: int | None, document_length: int | None, max_length: int | None = None
    ) -> "OpenRanker":
        """Return the ranker with other lengths, where they are given."""
        given: dict[str, Any] = {
            "query_length": query_length,
            "document_length": document_length,
            "max_length": max_length,
        }
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def tokens(self, queries: TokenStore, passages: TokenStore, max_length: int) -> PairTokens | SideTokens:
        """Return stored tokens in the form that the ranker reads."""
        if self.reads_pairs:
            return PairTokens(queries, passages, PairTemplate.of(self.tokenizer), max_length)
        form, lengths = self.ranker.options.sides, (self.query_length, self.document_length)
        return SideTokens.of(self.tokenizer, queries, passages, form, *lengths)

    def materials(self, settings: DataSettings, artifacts: Artifacts) -> Materials:
        """Return a collection, cut to the ranker's lengths."""
        lengths = {"query_length": self.query_length, "document_length": self.document_length}
        return Materials(settings if self.reads_pairs else settings.model_copy(update=lengths), artifacts)

    def collection_tokens(self, materials: Materials) -> PairTokens | SideTokens:
        """Return a collection's tokens in the form that the ranker reads; they are kept for the next time."""
        tokens: PairTokens | SideTokens = materials.tokens_for(
            self.folder, self.ranker.architecture, asdict(self.ranker.options)
        )
        return tokens

    def identity(self, max_length: int) -> dict[str, Any]:
        """Return what the ranker's scores depend on, for their provenance."""
        made_of = {
            "architecture": self.ranker.architecture,
            "weights": self.weights,
            "tokenizer": tokenizer_identity(self.tokenizer),
        }
        if self.reads_pairs:
            return {**made_of, "max_length": max_length}
        lengths = {"query_length": self.query_length, "document_length": self.document_length}
        return {**made_of, "options": asdict(self.ranker.options), **lengths}


def open_ranker(reference: str, architecture: str | None = None) -> OpenRanker:
    """Load a trained ranker and its tokenizer from a model, or from a run's folder.

    Raises UserError for a reference that holds none, and where it does not say which ranker it is.
    """
    folder = model_folder(reference)
    entry = ranker_entry(folder)
    opened = OpenRanker(load_ranker(folder, architecture), load_tokenizer(folder), folder, content_hash(str(folder)))
    return opened.with_lengths(entry.get("query_length"), entry.get("document_length"), entry.get("max_length"))


def model_folder(reference: str) -> Path:
    """Return the folder of a model: that of its reference, or what a run trained where the reference is its folder."""
    run = Path(reference)
    if (run / "run.json").is_file():
        if not (run / "model").is_dir():
            raise UserError(f"{reference} is a run without a model yet: finish it with --resume auto")
        return local_folder(str(run / "model"))
    return local_folder(reference)


def named(references: Sequence[str]) -> list[Named]:
    """Return each reference with its name: that before `NAME=`, else the last part of it.

    Raises UserError for a name that is taken, or that cannot be a part of a file's name.
    """
    found: list[Named] = []
    for reference in references:
        name, sign, rest = reference.partition("=")
        one = Named(name, rest) if sign and not Path(reference).exists() else Named(_last(reference), reference)
        if not re.fullmatch(r"[\w+-][\w.+-]*", one.name) or one.name in RESERVED:
            raise UserError(
                f"--model {reference}: {one.name!r} cannot be a model's name; give one as NAME={one.reference}"
            )
        if one.name in (other.name for other in found):
            raise UserError(
                f"--model {reference}: two models are called {one.name!r}; give names as NAME={one.reference}"
            )
        found.append(one)
    return found


def _last(reference: str) -> str:
    # A folder such as `.` has a name too.
    folder = Path(reference)
    return folder.resolve().name if folder.is_dir() else reference.removeprefix(PREFIX).rstrip("/").rpartition("/")[2]

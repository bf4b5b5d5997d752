"""The rankers that a command names, opened for scoring."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from distilkit.data.tokens import PairTemplate, PairTokens, TokenStore, tokenizer_identity
from distilkit.errors import UserError
from distilkit.models.load import load_cat, load_tokenizer
from distilkit.models.references import PREFIX, content_hash, local_folder

RESERVED = ("query_id", "doc_id", "score", "ensemble")


class Named(NamedTuple):
    """A model reference and the name that its scores go by."""

    name: str
    reference: str


@dataclass(frozen=True)
class OpenRanker:
    """A ranker in evaluation mode, with its tokenizer."""

    ranker: Any
    tokenizer: Any
    weights: str

    def tokens(self, queries: TokenStore, passages: TokenStore, max_length: int) -> PairTokens:
        """Return stored tokens in the form that the ranker reads."""
        return PairTokens(queries, passages, PairTemplate.of(self.tokenizer), max_length)

    def identity(self, max_length: int) -> dict[str, Any]:
        """Return what the ranker's scores depend on, for their provenance."""
        return {
            "architecture": "bert_cat",
            "weights": self.weights,
            "tokenizer": tokenizer_identity(self.tokenizer),
            "max_length": max_length,
        }


def open_ranker(reference: str) -> OpenRanker:
    """Load a trained ranker and its tokenizer; raises UserError for a reference that holds none."""
    folder = local_folder(reference)
    return OpenRanker(load_cat(folder, require_head=True), load_tokenizer(folder), content_hash(reference))


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

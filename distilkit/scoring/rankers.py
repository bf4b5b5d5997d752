"""The rankers that a command names, opened for scoring."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from distilkit.data.arrays import Integers
from distilkit.data.prefixes import Prefixes
from distilkit.data.side_tokens import DOCUMENT_LENGTH, QUERY_LENGTH
from distilkit.data.tokens import TokenStore, tokenizer_identity
from distilkit.errors import UserError
from distilkit.evaluation.rerank import Tokens, score_pairs
from distilkit.files import expanded
from distilkit.models import STUDENTS
from distilkit.models.load import (
    architecture_of,
    exported_entry,
    load_ranker,
    load_tokenizer,
    require_fit,
    saved_lengths,
)
from distilkit.models.ranker import Ranker, SideRanker
from distilkit.models.references import PREFIX, content_hash, local_folder
from distilkit.models.weights import bin_note
from distilkit.onnx.load import load_onnx
from distilkit.options.shared import Backend
from distilkit.pipeline.data import Data
from distilkit.pipeline.workspace import Workspace
from distilkit.progress import ProcessGroup, ProgressReporter
from distilkit.run_folders.listing import MODEL, find_run, nearest_run
from distilkit.run_folders.read import is_run, suite_members
from distilkit.settings import DataSettings
from distilkit.training.precision import Precision

MAX_LENGTH = 256
RESERVED = ("query_id", "doc_id", "score", "ensemble")


class Named(NamedTuple):
    """A model reference and the name that its scores go by."""

    name: str
    reference: str


@dataclass(frozen=True)
class OpenRanker:
    """A ranker in evaluation mode, with its tokenizer and the lengths that it reads queries, documents or pairs to.

    The lengths are those it was saved or published with, else the papers', or fewer where it has no positions for them.
    """

    ranker: Ranker
    tokenizer: Any
    folder: Path
    weights: str
    query_length: int = QUERY_LENGTH
    document_length: int = DOCUMENT_LENGTH
    max_length: int = MAX_LENGTH

    @classmethod
    def of(
        cls, ranker: Ranker, tokenizer: Any, folder: Path, weights: str, saved: Mapping[str, int] | None = None
    ) -> "OpenRanker":
        """Return a ranker with the lengths that it was saved with, where it was."""
        opened = cls(ranker, tokenizer, folder, weights, **(saved or {}))
        return replace(opened, **{name: min(getattr(opened, name), most) for name, most in ranker.rooms.items()})

    @property
    def reads_pairs(self) -> bool:
        """Whether queries and documents are packed into one sequence."""
        return bool(self.ranker.reads_pairs)

    @property
    def encoding(self) -> SideRanker:
        """The ranker, as one that encodes queries and documents apart."""
        assert isinstance(self.ranker, SideRanker)
        return self.ranker

    def precision(self, chosen: Precision) -> Precision:
        """Return the precision that torch computes in: fp32 beside an ONNX file, which has a precision of its own."""
        return chosen if self.ranker.backend == "torch" else "fp32"

    @property
    def lengths(self) -> dict[str, int]:
        """The lengths that it reads texts to, by name: those of pairs, or of queries and documents."""
        return {name: getattr(self, name) for name in self.ranker.options.text_format.length_keys}

    @property
    def stored_length(self) -> int:
        """How many tokens of a text are needed at most."""
        return max(self.lengths.values())

    def with_lengths(
        self, query_length: int | None = None, document_length: int | None = None, max_length: int | None = None
    ) -> "OpenRanker":
        """Return the ranker with other lengths, where they are given.

        Raises UserError for more tokens than it has positions for.
        """
        asked = {"query_length": query_length, "document_length": document_length, "max_length": max_length}
        given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        for name, most in self.ranker.rooms.items():
            if given.get(name, 0) > most:
                option = "--" + name.replace("_", "-")
                raise UserError(f"{option} {given[name]}: {self.folder} has positions for {most} tokens")
        return replace(self, **given)

    def with_prefixes(self, query: str | None, document: str | None) -> "OpenRanker":
        """Return the ranker with other texts before queries and documents, where they are given."""
        self.ranker.prefixes = self.prefixes.changed(query, document)
        return self

    @property
    def prefixes(self) -> Prefixes:
        """What it reads before queries and documents."""
        return self.ranker.prefixes

    @contextmanager
    def on(self, device: torch.device) -> Iterator[Ranker]:
        """Yield the ranker on a device, which it leaves after the block to make room for the next one."""
        try:
            yield self.ranker.to(device)
        finally:
            self.ranker.cpu()

    def tokens(self, queries: TokenStore, passages: TokenStore) -> Tokens:
        """Return stored tokens in the form that the ranker reads."""
        tokens: Tokens = self.ranker.options.text_format.tokens(self.tokenizer, queries, passages, self.lengths)
        return tokens

    def data(self, settings: DataSettings, workspace: Workspace) -> Data:
        """Return a collection, cut to the ranker's lengths."""
        return Data.of(settings.model_copy(update=self.lengths), workspace)

    def collection_tokens(self, data: Data, workspace: Workspace) -> Tokens:
        """Return a collection's tokens in the form that the ranker reads; they are kept for the next time."""
        options, tokenizer = asdict(self.ranker.options), data.tokenizer(self.folder, self.prefixes)
        return workspace.value(data.reader(tokenizer, self.ranker.architecture, options))

    def identity(self) -> dict[str, Any]:
        """Return what the ranker's scores depend on, for their provenance."""
        made_of = {
            "architecture": self.ranker.architecture,
            "weights": self.weights,
            "tokenizer": tokenizer_identity(self.tokenizer),
            **self.prefixes.identity(),
            **self.lengths,
        }
        if self.reads_pairs:
            return made_of
        # Where word embeddings came from does not matter any more: they are among the weights.
        options = {name: value for name, value in asdict(self.ranker.options).items() if name != "embeddings"}
        return {**made_of, "options": options}


def open_ranker(
    reference: str,
    architecture: str | None = None,
    say: Callable[[str], object] = lambda _: None,
    runs_dir: Path = Path("runs"),
    backend: Backend = "auto",
) -> OpenRanker:
    """Load a trained ranker and its tokenizer from a model, or from a run by its name or folder.

    The architecture is for a model that does not say which ranker it is, as a bare encoder does not; `say` is told
    where weights are not read from safetensors. The backend `auto` is onnx for a folder of an ONNX file, and torch for
    any other. Raises UserError for a reference that holds no ranker, and where
    neither it nor the caller says which one.
    """
    folder = model_folder(reference, runs_dir)
    if architecture is None:
        # Bare encoders, which do not say that they are rankers.
        architecture = next((name for name in STUDENTS if reference in STUDENTS[name].ranker().published), None)
    if backend == "onnx" or (backend == "auto" and exported_entry(folder) is not None):
        ranker = load_onnx(folder)
    else:
        ranker = load_ranker(folder, architecture)
    tokenizer = load_tokenizer(folder)
    require_fit(tokenizer, ranker.config, folder)
    if note := bin_note(folder):
        say(note)
    return OpenRanker.of(ranker, tokenizer, folder, content_hash(str(folder)), saved_lengths(folder, architecture))


def open_all(
    models: Sequence[Named],
    architecture: str | None = None,
    lengths: Sequence[int | None] = (None, None, None),
    say: Callable[[str], object] = lambda _: None,
    runs_dir: Path = Path("runs"),
    prefixes: Sequence[str | None] = (None, None),
    backend: Backend = "auto",
) -> dict[str, OpenRanker]:
    """Return several rankers by name, all with those lengths of queries, documents and pairs that are given.

    So it is with what is read before queries and documents.

    The architecture is for those of several that do not say which ranker they are. Raises UserError as `open_ranker`.
    """
    opened: dict[str, OpenRanker] = {}
    for one in models:
        says = len(models) > 1 and architecture_of(model_folder(one.reference, runs_dir)) is not None
        found = open_ranker(one.reference, None if says else architecture, say, runs_dir, backend)
        opened[one.name] = found.with_lengths(*lengths).with_prefixes(*prefixes)
    return opened


def score_each(
    rankers: Mapping[str, OpenRanker],
    tokens: Callable[[OpenRanker], Tokens],
    queries: Integers,
    passages: Integers,
    *,
    batch_size: int,
    precision: Precision,
    processes: ProcessGroup,
    reporter: ProgressReporter,
) -> npt.NDArray[np.float64]:
    """Return every ranker's raw score of every pair, shape ``[n, rankers]``, for `teacher_scores.combine.combine`.

    Every process scores its share and gets all scores; one ranker at a time is on the device.

    Args:
        rankers: by name, in the order of the columns
        tokens: returns the tokens that a ranker reads, made by its own tokenizer and cut to its own lengths
        queries: the row of each pair's query in those tokens, shape ``[n]``
        passages: that of its passage, shape ``[n]``
        batch_size: pairs of a forward pass
        precision: what is computed in
        processes: who takes part
        reporter: shows how far it is, ranker by ranker

    Raises RunFailed where a score is not finite.
    """
    scores = np.empty((len(queries), len(rankers)))
    for column, (name, opened) in enumerate(rankers.items()):
        read = tokens(opened)
        if (cut := read.cut(queries, passages)).texts:
            reporter.say(f"{name}: {cut}")
        with opened.on(processes.device) as ranker, reporter.phase(f"re-rank with {name}", len(queries)) as phase:
            scores[:, column] = score_pairs(
                ranker,
                read,
                queries,
                passages,
                batch_size=batch_size,
                precision=opened.precision(precision),
                processes=processes,
                progress=phase.reach,
            )
    return scores


def model_folder(reference: str, runs_dir: Path = Path("runs")) -> Path:
    """Return the folder of a model: that of its reference, or what a run trained where it names a run or its folder.

    A folder of the reference's own comes before a run below `runs_dir`, and that before a model on the hub. Raises
    UserError for a reference that is none of these, with the nearest run.
    """
    if not reference.strip():
        raise UserError(
            "a model's name is empty; expected a run's name or folder, a model's folder, a hub id or package:NAME"
        )
    path = expanded(reference)
    run = None if path.is_dir() and not is_run(path) else find_run(reference, runs_dir)
    if run is not None:
        if not (run.path / MODEL).is_dir():
            raise UserError(f"{reference} is a run without a model yet: finish it with --resume auto")
        return local_folder(str(run.path / MODEL))
    for folder in (path, runs_dir / reference):
        if members := suite_members(folder):
            raise UserError(f"{reference} is a folder of {len(members)} runs; name one of them, as {members[0].path}")
    try:
        return local_folder(reference)
    except UserError as error:
        near = "" if path.exists() or reference.startswith(PREFIX) else nearest_run(reference, runs_dir)
        raise UserError(f"{error}{near}") from error


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

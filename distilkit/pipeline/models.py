"""Weights that stages start from and learn from: checkpoints on disk, and who teaches."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilkit.files import content_key
from distilkit.models import STUDENTS, student_options
from distilkit.models.macs import encoder_macs
from distilkit.models.references import content_hash, local_folder
from distilkit.models.shape import cut_size, encoder_size
from distilkit.pipeline.graph import Node
from distilkit.pipeline.tokens import FolderTokenizer, Tokenizer
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import StudentSettings

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker
    from distilkit.pipeline.teacher_scores import ScoreFile
    from distilkit.pipeline.tokens import Reader, TextReader

Size = tuple[int, int, int]


class ModelNode(Node[Path]):
    """Weights of a ranker, whose value is their folder; there may be none yet, where they are still to be trained."""

    tokenizer: Tokenizer

    @property
    @abstractmethod
    def size(self) -> Size:
        """Layers, hidden size and intermediate size of its encoder."""

    def macs(self, reader: "Reader | TextReader") -> float:
        """Return the multiply-accumulates of a pair of the greatest length, for forecasts; by its encoder alone."""
        return float(sum(encoder_macs(*self.size, length) for length in reader.lengths))

    @abstractmethod
    def load(self, workspace: Workspace) -> "Ranker":
        """Return the ranker, in evaluation mode."""

    @abstractmethod
    def untrained(self, workspace: Workspace, needs_head: bool) -> "Ranker":
        """Return a ranker of its shape, as it is before any training, to check whether others fit to it."""


@dataclass(frozen=True, eq=False)
class Checkpoint(ModelNode):
    """Weights that are there: those of a model reference."""

    folder: Path
    sha256: str
    tokenizer: FolderTokenizer
    reference: str

    kind: ClassVar[str] = "checkpoint"

    def identity(self) -> dict[str, Any]:
        """Return the hash of weights, configuration and tokenizer."""
        return {"sha256": self.sha256}

    @property
    def reads(self) -> dict[str, str]:
        """The model."""
        return {f"the model {self.reference}": self.sha256}

    @cached_property
    def size(self) -> Size:
        """Layers, hidden size and intermediate size from config.json, whatever its model type calls them."""
        return encoder_size(self.folder)

    def load(self, workspace: Workspace) -> "Ranker":
        """Return the cross-encoder; raises UserError for one without a head that scores."""
        from distilkit.models.cat import load_cat

        return load_cat(self.folder, require_head=True)

    def untrained(self, workspace: Workspace, needs_head: bool) -> "Ranker":
        """Return the cross-encoder; a language model that scores nothing needs no head."""
        from distilkit.models.cat import load_cat

        return load_cat(self.folder, require_head=needs_head)

    def value(self, workspace: Workspace) -> Path:
        """Return the folder."""
        return self.folder


@dataclass(frozen=True)
class Teacher:
    """Whom a stage learns from: a ranker, several whose scores are combined, or a file that says what they score."""

    members: tuple[ModelNode, ...]
    combine: str = "mean"
    file: "ScoreFile | None" = None

    @property
    def identity(self) -> str:
        """What its scores depend on."""
        if self.file is not None:
            return content_key({"file": self.file.sha256, "combine": self.combine})
        if len(self.members) == 1:
            return self.members[0].key
        return content_key({"members": [member.key for member in self.members], "combine": self.combine})

    @property
    def model(self) -> ModelNode:
        """The one ranker that it is; of several, which are asked for scores alone, the first."""
        return self.members[0]


@dataclass(frozen=True)
class Start:
    """What a first stage trains: a student cut out of a source checkpoint, or (no settings) the checkpoint itself.

    `own` is the checkpoint that `[student] start` names, where it names one.
    """

    source: Checkpoint
    settings: StudentSettings | None
    dropout: float | None
    own: Checkpoint | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the starting weights depend on (their random part on the stage's seed too)."""
        settings = self.settings
        if settings is None:
            return {"source": self.source.key}
        return {
            "source": self.source.key,
            "shape": settings.shape,
            # A student that is a checkpoint of its own is told by that checkpoint's weights, not by its name.
            "start": self.own.key if self.own else settings.start,
            "num_labels": settings.num_labels,
            "options": student_options(settings.architecture, self.options).identity(),
        }

    @property
    def options(self) -> dict[str, Any]:
        """What the recipe chooses of the student's architecture."""
        return {} if self.settings is None else chosen_options(self.settings)

    @property
    def size(self) -> Size:
        """Layers, hidden size and intermediate size of the student's encoder."""
        if self.own is not None:
            return self.own.size
        return cut_size(self.source.folder, self.settings.shape if self.settings else None)


def checkpoint(reference: str, tokenizer: Callable[[Path], FolderTokenizer]) -> Checkpoint:
    """Return the weights of a model reference with the tokenizer of their folder; raises UserError without weights."""
    folder = local_folder(reference)
    return Checkpoint(folder, content_hash(reference), tokenizer(folder), reference)


def chosen_options(student: StudentSettings) -> dict[str, Any]:
    """Return the options of a student: a table that is named after an architecture holds for that one alone.

    Raises UserError for a table of an architecture that there is not.
    """
    tables = {STUDENTS.resolve(name): table for name, table in student.options.items() if isinstance(table, dict)}
    plain = {name: value for name, value in student.options.items() if not isinstance(value, dict)}
    return {**plain, **tables.get(STUDENTS.resolve(student.architecture), {})}

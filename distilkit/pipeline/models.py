"""Weights that stages start from and learn from: checkpoints on disk, and who teaches."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from distilkit.data.prefixes import NONE, Prefixes
from distilkit.errors import NotFinite, UserError
from distilkit.files import content_key
from distilkit.models import STUDENTS, student_options
from distilkit.models.macs import encoder_macs
from distilkit.models.references import content_hash, local_folder
from distilkit.models.shape import cut_size, encoder_size
from distilkit.pipeline.graph import Node
from distilkit.pipeline.tokens import FolderTokenizer, Tokenizer
from distilkit.pipeline.workspace import Workspace
from distilkit.settings import StudentSettings, TeacherSettings

if TYPE_CHECKING:
    from distilkit.models.options import Options
    from distilkit.models.ranker import Ranker
    from distilkit.pipeline.data import Data
    from distilkit.pipeline.teacher_scores import ScoreFile
    from distilkit.pipeline.tokens import Reader, TextReader

Size = tuple[int, int, int]
# What a teacher that is asked has of its own.
ASKED = ("template", "instruction", "yes", "no")
Reads = StudentSettings | TeacherSettings


class ModelNode(Node[Path]):
    """Weights of a ranker, whose value is their folder; there may be none yet, where they are still to be trained."""

    tokenizer: Tokenizer
    architecture: str

    @property
    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What is chosen of its architecture, which says how its texts are read."""

    @property
    @abstractmethod
    def size(self) -> Size:
        """Layers, hidden size and intermediate size of its encoder."""

    def tokens_of(self, data: "Data") -> "Reader":
        """Return a collection's tokens as it reads them."""
        return data.reader(self.tokenizer, self.architecture, self.options)

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
class StoredModel(ModelNode):
    """Weights that are there: those of a model reference, and which ranker they are read as."""

    folder: Path
    sha256: str
    tokenizer: FolderTokenizer
    reference: str
    architecture: str = "bert_cat"
    own_options: "Options | None" = None

    kind: ClassVar[str] = "checkpoint"

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """Nothing: its tokenizer is an input of who reads texts with it."""
        return ()

    def identity(self) -> dict[str, Any]:
        """Return the hash of weights, configuration and tokenizer, and what ranker is made of them."""
        if self.own_options is None:
            return {"sha256": self.sha256}
        return {"sha256": self.sha256, "architecture": self.architecture, "options": self.own_options.identity()}

    @property
    def options(self) -> dict[str, Any]:
        """The options of the ranker."""
        return {} if self.own_options is None else asdict(self.own_options)

    @property
    def reads(self) -> dict[str, str]:
        """The model."""
        return {f"the model {self.reference}": self.sha256}

    @cached_property
    def size(self) -> Size:
        """Layers, hidden size and intermediate size from config.json, whatever its model type calls them."""
        return encoder_size(self.folder)

    def load(self, workspace: Workspace) -> "Ranker":
        """Return the ranker; raises UserError for a cross-encoder without a head that scores."""
        return self.opened(needs_head=True)

    def opened(self, needs_head: bool) -> "Ranker":
        """Return the ranker, a cross-encoder with or without a head that scores."""
        from distilkit.models.cat import load_cat
        from distilkit.models.load import load_ranker

        if self.own_options is None:
            return load_cat(self.folder, require_head=needs_head)
        return load_ranker(self.folder, self.architecture, options=self.own_options)

    def untrained(self, workspace: Workspace, needs_head: bool) -> "Ranker":
        """Return the ranker; a language model that scores nothing needs no head."""
        return self.opened(needs_head)

    def value(self, workspace: Workspace) -> Path:
        """Return the folder."""
        return self.folder


@contextmanager
def blaming(model: ModelNode) -> Iterator[None]:
    """Raise UserError where scores in a block are not finite numbers, and those of a model that was given."""
    try:
        yield
    except NotFinite as error:
        if not isinstance(model, StoredModel):
            raise
        raise UserError(
            f"the model {model.reference}: {error}; expected finite numbers (in fp32, where they were computed in half "
            "precision: --set evaluate.bf16=false)"
        ) from None


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

    source: StoredModel
    settings: StudentSettings | None
    dropout: float | None
    own: StoredModel | None = None

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
            **({} if settings.embeddings == "drawn" else {"embeddings": settings.embeddings}),
            "options": student_options(settings.architecture, self.options).identity(),
        }

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options of the student's architecture: what the recipe chooses, on those of the ranker it starts from."""
        if self.settings is None:
            return {}
        chosen, architecture = chosen_options(self.settings), STUDENTS.resolve(self.settings.architecture)
        if self.own is None:
            return chosen
        from distilkit.models.load import architecture_of, saved_options

        if architecture_of(self.own.folder) != architecture:
            return chosen
        return asdict(saved_options(self.own.folder, architecture, chosen))

    @property
    def size(self) -> Size:
        """Layers, hidden size and intermediate size of the student's encoder."""
        if self.own is not None:
            return self.own.size
        return cut_size(self.source.folder, self.settings.shape if self.settings else None)


def checkpoint(
    reference: str, tokenizer: Callable[[Path, Prefixes], FolderTokenizer], ranker: Reads | None = None
) -> StoredModel:
    """Return the weights of a model reference with the tokenizer of their folder; raises UserError without weights.

    `ranker` are the settings of the ranker that they are, or start: what it reads before texts is what these say, or
    what the folder's own ranker of that architecture does.
    """
    folder, name, options = local_folder(reference), "bert_cat", None
    prefixes = NONE
    if ranker is not None:
        from distilkit.models.load import saved_prefixes

        name = STUDENTS.resolve(ranker.architecture)
        prefixes = saved_prefixes(folder, name).changed(ranker.query_prefix, ranker.document_prefix)
        if isinstance(ranker, TeacherSettings):
            options = teacher_options(ranker, name, folder)
            prefixes = prefixes if options is None else options.wrapped(prefixes)
    return StoredModel(folder, content_hash(reference), tokenizer(folder, prefixes), reference, name, options)


def teacher_options(settings: TeacherSettings, name: str, folder: Path) -> "Options | None":
    """Return the options of a teacher that is not a cross-encoder, None for one that is.

    Raises UserError for a key that its architecture has not.
    """
    from distilkit.models.load import saved_options

    given = {key: value for key in ASKED if (value := getattr(settings, key)) is not None}
    if given and name != "yes_no":
        key, value = next(iter(given.items()))
        raise UserError(
            f'[teacher] {key} = {value!r}: a {name} has no prompt; expected architecture = "yes_no", or no {key}'
        )
    return None if name == "bert_cat" else saved_options(folder, name, given)


def chosen_options(student: StudentSettings) -> dict[str, Any]:
    """Return the options of a student: a table that is named after an architecture holds for that one alone.

    Raises UserError for a table of an architecture that there is not.
    """
    tables = {STUDENTS.resolve(name): table for name, table in student.options.items() if isinstance(table, dict)}
    plain = {name: value for name, value in student.options.items() if not isinstance(value, dict)}
    return {**plain, **tables.get(STUDENTS.resolve(student.architecture), {})}

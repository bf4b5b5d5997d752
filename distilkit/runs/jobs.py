"""What a stage is trained from: weights, a start, a teacher. Plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilkit.files import content_key
from distilkit.models import STUDENTS, student_options
from distilkit.runs.artifacts import Artifact
from distilkit.settings import StudentSettings
from distilkit.strategies import Stage


@dataclass(frozen=True)
class Model:
    """Weights that a stage can start from or learn from: their folder, and their identity for artifact keys.

    `tokenizer` is a folder that holds its tokenizer, there before the weights are trained.
    """

    folder: Path
    identity: str
    tokenizer: Path


@dataclass(frozen=True)
class ScoreFile:
    """A file of teacher scores, and the sha256 of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Teacher:
    """Whom a stage learns from: a ranker, several whose scores are combined, or what a file says that they score."""

    members: tuple[Model, ...]
    combine: str = "mean"
    file: ScoreFile | None = None

    @property
    def identity(self) -> str:
        """What its scores depend on, for artifact keys."""
        if self.file is not None:
            return content_key({"file": self.file.sha256, "combine": self.combine})
        if len(self.members) == 1:
            return self.members[0].identity
        return content_key({"members": [member.identity for member in self.members], "combine": self.combine})

    @property
    def model(self) -> Model:
        """The one ranker that it is; of several, which are never asked for anything but scores, the first."""
        return self.members[0]


@dataclass(frozen=True)
class Start:
    """What the first stage trains: a student cut out of a source checkpoint, or (no settings) the checkpoint itself."""

    source: Model
    settings: StudentSettings | None
    dropout: float | None
    start_identity: str | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the starting weights depend on (their random part on the stage's seed too)."""
        settings = self.settings
        if settings is None:
            return {"source": self.source.identity}
        # A student that is a checkpoint of its own is told by that checkpoint's weights, not by its name.
        start = self.start_identity or settings.start
        return {
            "source": self.source.identity,
            "shape": settings.shape,
            "start": start,
            "num_labels": settings.num_labels,
            "options": student_options(settings.architecture, chosen_options(settings)).identity(),
        }


@dataclass(frozen=True)
class StageJob:
    """One stage to train: where from, on what, with whom.

    `tokenizer` is a folder with the student's; `scores` tells whether those of the teacher are computed ahead;
    `selector` is who chooses which passages of a document are trained on, the first ones being taken without it.
    """

    kind: str
    stage: Stage
    start: Start
    before: Artifact | None
    teacher: Teacher | None
    architecture: str
    tokenizer: Path
    scores: Literal["cached", "online"] = "cached"
    selector: Teacher | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the recipe chooses of the student's architecture."""
        return chosen_options(self.start.settings) if self.start.settings is not None else {}

    @property
    def scored_ahead(self) -> bool:
        """Whether the stage reads scores that the teacher gave before."""
        return self.teacher is not None and self.stage.uses_scores_alone and self.scores == "cached"


def chosen_options(student: StudentSettings) -> dict[str, Any]:
    """Return the options of a student: a table that is named after an architecture holds for that one alone.

    Raises UserError for a table of an architecture that there is not.
    """
    tables = {STUDENTS.resolve(name): table for name, table in student.options.items() if isinstance(table, dict)}
    plain = {name: value for name, value in student.options.items() if not isinstance(value, dict)}
    return {**plain, **tables.get(STUDENTS.resolve(student.architecture), {})}

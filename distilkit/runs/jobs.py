"""What a stage is trained from: weights, a start, a teacher. Plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distilkit.runs.artifacts import Artifact
from distilkit.settings import StudentSettings
from distilkit.strategies import Stage


@dataclass(frozen=True)
class Model:
    """Weights that a stage can start from or learn from: their folder, and their identity for artifact keys."""

    folder: Path
    identity: str


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
            "options": settings.options,
        }


@dataclass(frozen=True)
class StageJob:
    """One stage to train: where from, on what, with whom.

    `scores` tells whether those of the teacher are computed ahead; `selector` is the ranker that chooses which passages
    of a document are trained on, the first ones being taken without it.
    """

    kind: str
    stage: Stage
    start: Start
    before: Artifact | None
    teacher: Model | None
    architecture: str
    scores: Literal["cached", "online"] = "cached"
    selector: Model | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What the recipe chooses of the student's architecture."""
        return self.start.settings.options if self.start.settings is not None else {}

    @property
    def scored_ahead(self) -> bool:
        """Whether the stage reads scores that the teacher gave before."""
        return self.teacher is not None and self.stage.uses_scores_alone and self.scores == "cached"

"""What can be wrong with a recipe and be seen before anything is trained: of the plan and of the run alike."""

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.pipeline.data import Data
from distilkit.pipeline.first_steps import try_first_steps
from distilkit.pipeline.graph import Node, every
from distilkit.pipeline.models import StoredModel
from distilkit.pipeline.pipeline import Pipeline
from distilkit.pipeline.trackers import require_trackers
from distilkit.pipeline.trained_stage import StartingStudent
from distilkit.pipeline.twin import twin_of
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.models.ranker import Ranker


def check(pipeline: Pipeline) -> None:
    """Raise UserError for data, judgements, measures, weights and shapes that would end the run later."""
    checks = Checks()
    try:
        checks.check(pipeline)
    finally:
        checks.forget(pipeline.workspace)


class Checks:
    """`check` for the runs of a suite, one after another: students that the next run has too stay in memory."""

    def __init__(self) -> None:
        self._starts: list[StartingStudent] = []

    def check(self, pipeline: Pipeline) -> None:
        """Raise UserError as `check` does."""
        starts = [StartingStudent(stage.start, stage.tokenizer) for stage in pipeline.stages()]
        self.forget(pipeline.workspace, but={start.key for start in starts})
        self._starts = starts
        _check(pipeline, starts)

    def forget(self, workspace: Workspace, but: Container[str] = ()) -> None:
        """Let go of the students that are in memory, except for those of some keys."""
        for start in self._starts:
            if start.key not in but:
                workspace.forget(start)


def _check(pipeline: Pipeline, starts: list[StartingStudent]) -> None:
    require_trackers(pipeline.recipe.report_to)
    workspace, collections = pipeline.workspace, dict[str, Data]()
    for one in pipeline.sets:
        _ = one.queries, one.measures  # which refuse a split without judgements, and names of no measure
        collections[one.data.collection.fingerprint] = one.data
    for data in collections.values():
        data.check_texts(workspace)
    _check_teachers(pipeline)
    for node in every(pipeline.targets()):
        node.check(workspace)
    for start in starts:
        lengths = StudentLengths(start)
        if start.start.settings is not None and (workspace.knows(start) or workspace.knows(lengths)):
            _check_positions(pipeline, workspace.value(lengths), "the student")
    try_first_steps(pipeline.stages(), workspace)
    if (twin := twin_of(pipeline)) is not None:
        try_first_steps(twin.stages(), workspace)


def _check_teachers(pipeline: Pipeline) -> None:
    for settings, base, chain in zip(pipeline.members, pipeline.bases, pipeline.teacher_chains, strict=True):
        if chain and not STUDENTS[settings.architecture].ranker().shows_internals:
            raise UserError(
                f"[teacher] architecture = {settings.architecture!r}: only a bert_cat can be fine-tuned as a teacher; "
                "expected no fine_tune"
            )
        if settings.shape is not None and not chain:
            raise UserError(
                f"[teacher] shape = {settings.shape!r} cuts layers away; "
                "expected [teacher] fine_tune, too, which trains the rest"
            )
        ranker = pipeline.workspace.value(WholeTeacher(base, pipeline.has_ranker and not chain))
        _check_positions(pipeline, ranker, settings.model)


@dataclass(frozen=True)
class RankerLengths:
    """How many tokens a ranker has positions for, None for any number, and the keys of [data] that cut its texts."""

    most: int | None
    keys: tuple[str, ...]

    @classmethod
    def of(cls, ranker: "Ranker") -> "RankerLengths":
        """Return those of a ranker."""
        return cls(ranker.room, tuple(ranker.options.text_format.length_keys))


@dataclass(frozen=True, eq=False)
class WholeTeacher(Node[RankerLengths]):
    """A teacher's checkpoint that loads, with a tokenizer that fits; the runs of a suite try it once."""

    base: StoredModel
    needs_head: bool

    kind: ClassVar[str] = "whole_teacher"

    def identity(self) -> dict[str, Any]:
        """Return the checkpoint, and whether it must have a head that scores."""
        where = {"folder": str(self.base.folder), "needs_head": self.needs_head}
        return {**self.base.identity(), **where}

    def value(self, workspace: Workspace) -> RankerLengths:
        """Load it; raises UserError where it cannot be, or where tokenizer and weights do not fit."""
        from distilkit.models.load import load_tokenizer, require_fit

        ranker = self.base.untrained(workspace, self.needs_head)
        require_fit(load_tokenizer(self.base.folder), ranker.config, self.base.folder)
        return RankerLengths.of(ranker)


@dataclass(frozen=True, eq=False)
class StudentLengths(Node[RankerLengths]):
    """The lengths of a student before its first stage, which are known when the student itself is forgotten."""

    start: StartingStudent

    kind: ClassVar[str] = "student_lengths"

    def identity(self) -> dict[str, Any]:
        """Return the student."""
        return {"start": self.start.key}

    def value(self, workspace: Workspace) -> RankerLengths:
        """Build the student, unless it is in memory."""
        return RankerLengths.of(workspace.value(self.start))


def _check_positions(pipeline: Pipeline, ranker: RankerLengths, name: str) -> None:
    for one in pipeline.sets:
        for key in ranker.keys:
            length = getattr(one.data.settings, key)
            if ranker.most is not None and length > ranker.most:
                raise UserError(f"[data] {key} = {length}: {name} has positions for {ranker.most} tokens")

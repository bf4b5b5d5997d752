"""Lists of training queries without judgements: a first stage's candidates in the order of the teacher's scores."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from distilkit.data.examples import Lists
from distilkit.data.unlabelled import Draw, draw_by_teacher
from distilkit.errors import UserError
from distilkit.pipeline.data import Data
from distilkit.pipeline.first_stage import FirstStage
from distilkit.pipeline.graph import Node
from distilkit.pipeline.mined import CandidatePairs
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.pipeline.teacher_scores import FileScores, RankerScores


@dataclass(frozen=True, eq=False)
class TeacherLists(Node[Lists]):
    """Every training query's best candidates by the teacher, each with candidates that it scores lower.

    `scores` are the teacher's scores of all `pairs`, the candidates of all training queries.
    """

    data: Data
    candidates: FirstStage
    pairs: CandidatePairs
    scores: "RankerScores | FileScores"
    draw: Draw
    section: str = "[train]"

    kind: ClassVar[str] = "teacher_lists"

    def identity(self) -> dict[str, Any]:
        """Return the candidates, their scores, how many lists of which length, the seed, and what is left out."""
        parts = {"candidates": self.candidates.key, "scores": self.scores.key, **asdict(self.draw)}
        return {**parts, "on_missing": self.data.settings.on_missing}

    @property
    def negatives(self) -> int:
        """The passages of a list beside the first."""
        return self.draw.negatives

    @property
    def to_count(self) -> tuple[Node[Any], ...]:
        """What tells how many lists there are: the candidates, and a file's scores, which may lack some."""
        return (self.candidates,) if self._from_ranker else self.inputs

    @property
    def _from_ranker(self) -> bool:
        from distilkit.pipeline.teacher_scores import RankerScores

        return isinstance(self.scores, RankerScores)

    def count(self, workspace: Workspace) -> int:
        """Return how many lists there are; raises UserError where most queries have too few candidates for one."""
        return int(self._lists_of_each(workspace).sum())

    def value(self, workspace: Workspace) -> Lists:
        """Draw the lists; raises UserError for candidates that a file has no score for."""
        candidates, scores = workspace.value(self.candidates), self._usable(workspace)
        pairs = workspace.value(self.pairs)
        found = np.full(scores.shape, np.nan, np.float32)
        found[candidates.passages >= 0] = self.scores.targets(pairs, workspace)[:, 0]
        found[np.isnan(scores)] = np.nan
        return draw_by_teacher(candidates, found, self.draw)

    def said(self, workspace: Workspace) -> list[str]:
        """Return what is to be said of queries that no list is made of."""
        found = self._lists_of_each(workspace)
        lacking = int((found == 0).sum())
        what = f"fewer than {1 + self.draw.skipped + self.negatives} candidates with a text and a score"
        return [f"{lacking} of {len(found)} training queries have {what}: left out"] if lacking else []

    def _lists_of_each(self, workspace: Workspace) -> npt.NDArray[np.int64]:
        counts = (~np.isnan(self._usable(workspace))).sum(axis=1).tolist()
        found = np.array([self.draw.lists(count) for count in counts], np.int64)
        lacking = np.flatnonzero(found == 0)
        if 2 * len(lacking) > len(found):
            first, needed = int(lacking[0]), 1 + self.draw.skipped + self.negatives
            raise UserError(
                f"{len(lacking)} of {len(found)} training queries have fewer candidates than a list needs: query "
                f"{self.candidates.query_ids[first]!r} has {counts[first]}; expected {needed}, as {self.section} "
                f"negatives = {self.negatives}"
            )
        return found

    def _usable(self, workspace: Workspace) -> npt.NDArray[np.float32]:
        """Return 0 for every candidate that can be drawn and NaN for others, [n, depth]: empty texts, no score."""
        candidates = workspace.value(self.candidates)
        usable = candidates.passages >= 0
        if not self._from_ranker:
            usable[usable] = ~np.isnan(self._of_file(workspace))
        if self.data.has_empty_texts:
            empty = self.data.empty_texts
            usable &= ~np.isin(candidates.passages, empty["passage"])
            usable &= ~np.isin(candidates.queries, empty["query"])[:, None]
        return np.where(usable, np.float32(0), np.float32(np.nan))

    def _of_file(self, workspace: Workspace) -> npt.NDArray[np.floating]:
        """Return a file's score of each candidate; raises UserError for one that it must have and has not."""
        from distilkit.pipeline.teacher_scores import FileScores

        assert isinstance(self.scores, FileScores)
        return self.scores.required(workspace)[:, 0]

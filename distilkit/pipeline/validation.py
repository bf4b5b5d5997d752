"""What chooses checkpoints: measures of judged queries, or agreement with the teacher where nothing is judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from distilkit.data.collection import Run
from distilkit.evaluation.agreement import AGREEMENT, agreement, require_agreement
from distilkit.evaluation.measures import canonical, evaluate
from distilkit.pipeline.data import QuerySet
from distilkit.pipeline.evaluation import Scorer, TeacherRanking
from distilkit.pipeline.graph import Node
from distilkit.pipeline.tokens import Reader, TextReader
from distilkit.pipeline.workspace import Workspace

if TYPE_CHECKING:
    from distilkit.pipeline.teacher_scores import FileScores


@dataclass(frozen=True)
class Validation:
    """The validation queries of a run, how they are scored, and the measures that are taken."""

    queries: QuerySet
    scorer: Scorer
    measures: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """What is read beside the trained student."""
        return (self.queries.candidates,)

    def identity(self, reader: "Reader | TextReader") -> dict[str, Any]:
        """Return what a model's validation depends on, apart from the model and the measures."""
        aggregation = reader.aggregation if isinstance(reader, Reader) else None
        candidates = self.queries.candidates.key
        return {"candidates": candidates, "precision": self.scorer.precision, "aggregation": aggregation}

    def metric(self, name: str) -> str:
        """Return a measure by its canonical name; raises UserError for none."""
        return canonical(name)

    def measure(self, run: Run, names: Sequence[str], workspace: Workspace) -> dict[str, float]:
        """Return what a run of the validation queries reaches."""
        return evaluate(run, self.queries.qrels, names).means


@dataclass(frozen=True)
class FileRanking:
    """How a file's scores rank the candidates of some queries."""

    queries: QuerySet
    scores: "FileScores"

    @property
    def rankings(self) -> tuple[Node[Any], ...]:
        """The nodes that it is made of."""
        return (self.scores,)

    def run(self, workspace: Workspace) -> Run:
        """Return the run; what the file lacks is an error, or left out, as [data] on_missing says."""
        found = self.scores.required(workspace)[:, 0].astype(float)
        run = workspace.value(self.queries.candidates).run(self.queries.collection, found)
        kept = {query: [one for one in ranked if not np.isnan(one[1])] for query, ranked in run.items()}
        return {query: ranked for query, ranked in kept.items() if ranked}


@dataclass(frozen=True)
class AgreementValidation(Validation):
    """Validation queries without judgements, on which the student is held against its teacher."""

    teacher: TeacherRanking | FileRanking

    @property
    def inputs(self) -> tuple[Node[Any], ...]:
        """The candidates, and how the teacher ranks them."""
        return (*super().inputs, *self.teacher.rankings)

    def identity(self, reader: "Reader | TextReader") -> dict[str, Any]:
        """Return what the validation depends on, the teacher too."""
        return {**super().identity(reader), "agreement": [one.key for one in self.teacher.rankings]}

    def metric(self, name: str) -> str:
        """Return a measure of agreement; raises UserError for another."""
        return require_agreement(name)

    def measure(self, run: Run, names: Sequence[str], workspace: Workspace) -> dict[str, float]:
        """Return how far a run of the validation queries agrees with the teacher's."""
        return agreement(run, self.teacher.run(workspace), names)

    @classmethod
    def of(cls, queries: QuerySet, scorer: Scorer, teacher: TeacherRanking | FileRanking) -> "AgreementValidation":
        """Return the validation with all measures of agreement."""
        return cls(queries, scorer, tuple(AGREEMENT), teacher)

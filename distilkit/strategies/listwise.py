"""Listwise distillation: the student's distribution over a query's candidates against the teacher's."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.list_terms import KlDivergenceTerm, ScoredListTerm
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT, Positive

ListLength = Annotated[int, Field(ge=2)] | None


def lists_stage(term: ScoredListTerm, length: ListLength, train: TrainSettings, seed: int) -> Stage:
    """Return the one stage of a loss on lists of some length; of 1 + [train] negatives where that is None."""
    train = train if length is None else train.model_copy(update={"negatives": length - 1})
    return Stage("distil", (term,), "lists", train, seed)


@STRATEGIES.register("listwise")
@dataclass(frozen=True)
class Listwise:
    """Distil the teacher's softmax over the candidates of each query, for any student.

    Equation: L = KL(softmax(t / T_t) || softmax(s / T_s)) over the list of a query's passages, the mean over all lists.
    Papers: Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach (2007), ListNet; Hinton et al.
    (2015) for the temperatures; Santhanam et al., ColBERTv2 (2022), and Schlatt et al., Rank-DistiLLM (2025), which
    distil rankers so. PyLate and FlagEmbedding distil with the same loss.
    Deviations: none. ColBERTv2 trains on lists of 64 passages; here list_length says how many.
    Defaults: both temperatures 1, lists of 1 + [train] negatives passages.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "ListNet; ColBERTv2; Rank-DistiLLM"

    student_temperature: Positive = 1.0
    """The temperature that the student's scores are divided by."""
    teacher_temperature: Positive = 1.0
    """The temperature that the teacher's scores are divided by."""
    list_length: ListLength = None
    """How many passages a list has; 1 + [train] negatives where absent."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        term = KlDivergenceTerm(1.0, self.student_temperature, self.teacher_temperature)
        return [lists_stage(term, self.list_length, train, seed)]

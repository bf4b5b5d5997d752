"""Ranking imitation: learning the order of a teacher's list alone, as a language model's permutation gives it."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.list_terms import AdrMseTerm, LambdaRankTerm, ListMleTerm, ListRankNetTerm, ScoredListTerm
from distilkit.strategies.listwise import ListLength, lists_stage
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT

LOSSES: dict[str, ScoredListTerm] = {
    "ranknet": ListRankNetTerm(discount="none"),
    "discounted_ranknet": ListRankNetTerm(),
    "adr_mse": AdrMseTerm(),
    "rank_mse": AdrMseTerm(discount="none"),
    "list_mle": ListMleTerm(),
    "lambda_rank": LambdaRankTerm(),
}


@STRATEGIES.register("ranking_imitation")
@dataclass(frozen=True)
class RankingImitation:
    """Learn the order in which the teacher ranks each query's list, and not its scores, for any student.

    Equation: ranknet: L = the mean of log(1 + exp(s_j - s_i)) over all pairs of which the teacher ranks i above j.
    discounted_ranknet: each pair is weighted by 1 / log2(1 + r_i), where r_i is the teacher's rank of i. adr_mse: the
    mean over i of (r_i - ŝ_i)² / log2(1 + r_i), where ŝ_i is a smooth rank of i among the student's scores; rank_mse:
    the same without the divisor. list_mle and lambda_rank: the losses of these names.
    Papers: Sun et al., Is ChatGPT Good at Search? (2023), RankGPT, permutation distillation; Schlatt et al.,
    Rank-DistiLLM (2025), ADR-MSE.
    Deviations: RankGPT takes the sum over the pairs of a list of 20 passages; here it is the mean. Passages that the
    teacher scores equally are no pair in ranknet, and share a rank in adr_mse.
    Defaults: ranknet, as in RankGPT; lists of 1 + [train] negatives passages.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "RankGPT; Rank-DistiLLM"

    loss: Literal["ranknet", "discounted_ranknet", "adr_mse", "rank_mse", "list_mle", "lambda_rank"] = "ranknet"
    """The loss that the order is learned by."""
    list_length: ListLength = None
    """How many passages a list has; 1 + [train] negatives where absent."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        return [lists_stage(LOSSES[self.loss], self.list_length, train, seed)]

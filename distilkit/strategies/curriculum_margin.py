"""Margin-MSE by a curriculum: negatives of groups of candidates, from those that are easy to those that are hard."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from distilkit.errors import UserError
from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT, MarginMseTerm


@STRATEGIES.register("curriculum_margin")
@dataclass(frozen=True)
class CurriculumMargin:
    """Distil the teacher's score margins on negatives that get harder from stage to stage, for any student.

    Equation: L = MSE(s⁺ - s⁻, t⁺ - t⁻) in every stage, each with other negatives. A query's ranked candidates are cut
    into G groups of equal size. Stage 1 draws its negatives from the lowest group and stage G from the top one; with
    cumulative = true a stage draws from the groups of all stages before it, too.
    Papers: Zeng, Zamani and Vinay, Curriculum Learning for Dense Retrieval Distillation (2022), CL-DRD; Hofstätter et
    al. (2020) for the loss.
    Deviations: CL-DRD learns the order of the groups, by a loss like LambdaRank's, and makes the groups finer from
    stage to stage; here margins are learned, and a stage has one group after another. The ranks are the first stage's,
    or the teacher's in training without labels. Steps or epochs are divided equally among the stages, and the learning
    rate rises and falls in each.
    Defaults: three groups, since CL-DRD has three stages.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "CL-DRD; Margin-MSE"

    groups: Annotated[int, Field(ge=2, le=10)] = 3
    """How many groups the first [train] negative_depth candidates are cut into: one stage each."""
    cumulative: bool = False
    """Whether a stage draws negatives from the groups of earlier stages, too, so that the last stage draws from all."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return a stage a group; raises UserError for more groups than candidates."""
        depth, groups = train.negative_depth, self.groups
        if depth < groups:
            raise UserError(f"[strategy] groups = {groups}: there are {depth} candidates ([train] negative_depth)")
        cuts = [round(depth * place / groups) for place in range(groups + 1)]
        steps = None if train.max_steps is None else math.ceil(train.max_steps / groups)
        share = {"num_train_epochs": train.num_train_epochs / groups, "max_steps": steps}
        found = []
        for number, place in enumerate(reversed(range(groups)), 1):
            last = depth if self.cumulative else cuts[place + 1]
            between = {"negative_range_min": cuts[place], "negative_range_max": last}
            own = train.model_copy(update={**share, **between})
            found.append(Stage(f"group_{number}", (MarginMseTerm(),), "triples", own, seed))
        return found

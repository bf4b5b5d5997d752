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
    """Distil the teacher's margins on negatives that get harder stage by stage, into any of the five students.

    Equation: L_g = MSE(s⁺ - s⁻, t⁺ - t⁻) with s⁻ of group g alone: the candidates' ranks are cut into G equal groups,
    and stage 1 draws negatives from the last of them, stage G from the first; with cumulative = true from the first and
    all behind it.
    Papers: Zeng, Zamani and Vinay, Curriculum Learning for Dense Retrieval Distillation (2022), CL-DRD; Hofstätter et
    al. (2020) for the loss.
    Deviations: CL-DRD learns an order of groups by a loss of LambdaRank's kind and makes the groups finer from stage to
    stage; here margins are learned, and groups follow each other. Ranks are those of the candidates, without labels
    the teacher's. Each group has its share of the steps or epochs, and a learning rate of its own that rises and falls.
    Defaults: three groups, as CL-DRD has three stages.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "CL-DRD; Margin-MSE"

    groups: Annotated[int, Field(ge=2, le=10)] = 3
    """Into how many groups the first [train] negative_depth candidates are cut."""
    cumulative: bool = False
    """Whether a stage draws from the groups of the stages before it too, so that the last one draws from all."""

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

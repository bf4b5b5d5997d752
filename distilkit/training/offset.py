"""The fixed offset that a student's scores get before its first step, so that they have the mean of the teacher's."""

from dataclasses import dataclass, replace

import torch

from distilkit.models.batch import on_device
from distilkit.models.options import offset_of
from distilkit.progress import ProcessGroup
from distilkit.training.objective import Objective
from distilkit.training.step_loader import StepLoader

PAIRS = 256
"""How many of the first pairs of training are measured, in whole steps."""
DIGITS = 3
"""Decimals of the offset: a resumed run, which measures again, gets the same whatever the order of its sums."""


@dataclass(frozen=True)
class ScoreOffset:
    """What was measured: the means of both before any step, over how many pairs, and the offset that comes of them."""

    student: float
    teacher: float
    pairs: int
    offset: float

    def __str__(self) -> str:
        means = (
            f"the mean of {self.pairs} pairs is {self.student:.3f} by the student and {self.teacher:.3f} by the teacher"
        )
        return f"{means}; the fixed offset {self.offset:g} is added to the student's scores from here on"


def set_score_offset(objective: Objective, loader: StepLoader, processes: ProcessGroup) -> ScoreOffset:
    """Give a student the offset with which its scores have the mean of the teacher's, t/scale - s.

    s is the student's mean score over the first pairs of training, t the teacher's, and scale what the student's
    scores are multiplied with in training. A student that has an offset already is measured with it.
    """
    student = objective.student
    was_training = objective.training
    sums = torch.zeros(3, dtype=torch.float64)
    objective.eval()
    step, wanted = 0, PAIRS / processes.count
    with torch.no_grad():
        while sums[2] < wanted:
            batch = loader(step)
            for bucket in (one for part in batch.micro_batches for one in part):
                ours, theirs = objective.scores(on_device(bucket, processes.device))
                sums += torch.tensor([ours.double().sum(), theirs.double().sum(), len(ours)], dtype=torch.float64)
            step += 1
    objective.train(was_training)
    total = torch.tensor(processes.gather([sums.tolist()]), dtype=torch.float64).sum(0)
    ours, theirs = (total[:2] / total[2]).tolist()
    found = theirs / getattr(student.options, "scale", 1.0) - ours
    offset = processes.broadcast(round((offset_of(student.options) or 0.0) + found, DIGITS))
    student.options = replace(student.options, offset=offset)
    return ScoreOffset(ours, theirs, int(total[2]), offset)

"""Linear maps from the student's hidden size to the teacher's, for losses that compare their hidden states."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from distilkit.errors import UserError

Mode = Literal["shared", "per_state", "identity"]
Initial = Literal["random", "identity"]


class Projections(nn.Module):
    """Maps each of the student's states to the teacher's hidden size.

    Args:
        student_size: the student's hidden size
        teacher_size: the teacher's hidden size
        states: how many states there are, that of the embeddings included
        mode: `shared`, one map with a bias for all states, as in the released code of TinyBERT; `per_state`, one for
            each, as in its published weights of version 2; `identity`, no map, where the sizes agree
        initial: `random`, weights from N(0, 0.02) and no bias; `identity`, where the sizes agree

    The maps are named as in those checkpoints (`fit_dense`, `fit_denses.0` ...).
    """

    def __init__(
        self, student_size: int, teacher_size: int, states: int, mode: Mode = "shared", initial: Initial = "random"
    ) -> None:
        super().__init__()
        if "identity" in (mode, initial) and student_size != teacher_size:
            raise UserError(
                f"states of {student_size} dimensions need a random projection to the teacher's {teacher_size}: "
                "'identity' is for equal sizes"
            )
        self.mode, self.states = mode, states
        if mode == "shared":
            self.fit_dense = _linear(student_size, teacher_size, initial)
        elif mode == "per_state":
            self.fit_denses = nn.ModuleList(_linear(student_size, teacher_size, initial) for _ in range(states))

    def forward(self, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the projected states, in the order given: the student's states 0, 1, 2 ..."""
        if len(states) != self.states:
            raise ValueError(f"the projections are for {self.states} states, not {len(states)}")
        if self.mode == "identity":
            return tuple(states)
        if self.mode == "shared":
            return tuple(self.fit_dense(state) for state in states)
        return tuple(project(state) for project, state in zip(self.fit_denses, states, strict=True))


@torch.no_grad()
def _linear(student_size: int, teacher_size: int, initial: Initial) -> nn.Linear:
    layer = nn.Linear(student_size, teacher_size)
    nn.init.zeros_(layer.bias)
    if initial == "identity":
        nn.init.eye_(layer.weight)
    else:
        nn.init.normal_(layer.weight, std=0.02)
    return layer

"""Which stages leave parameters without a gradient, which processes that train together must look for."""

from pathlib import Path

import pytest
import torch
from tiny_training import FINE_TUNE, SIMPLIFIED, stage_of, trainer_of

from distilkit.training.objective import Objective
from distilkit.training.processes import leaves_some_alone, reached


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (SIMPLIFIED, False),
        (SIMPLIFIED.replace("weights", 'projection="per_state", weights'), False),
        (FINE_TUNE, False),
        ("margin_mse", True),  # the tiny objective has projections, which nothing reads here
    ],
)
def test_the_graph_tells_what_a_backward_pass_leaves_alone(strategy: str, expected: bool, tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(strategy), tmp_path)
    objective, batch = trainer.objective, trainer.loader(0)
    loss = objective(batch.micro_batches[0], trainer.examples.ways, batch.counts)["loss"]
    found, needed = leaves_some_alone(objective, loss), reached(loss)
    loss.backward()
    for parameter in objective.parameters():
        assert (parameter in needed) == (parameter.grad is not None)
    assert found is expected


def test_frozen_parameters_are_not_missed(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(FINE_TUNE), tmp_path)
    objective, batch = trainer.objective, trainer.loader(0)
    assert isinstance(objective, Objective)
    objective.student.encoder.embeddings.requires_grad_(False)
    loss = objective(batch.micro_batches[0], trainer.examples.ways, batch.counts)["loss"]
    assert not leaves_some_alone(objective, loss)
    objective.student.unread = torch.nn.Linear(2, 2)
    assert leaves_some_alone(objective, loss)

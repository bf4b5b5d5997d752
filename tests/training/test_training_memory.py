"""What keeps a CPU from being slow for no gain."""

import torch

from distilkit.training.memory import denormals_flushed


def test_numbers_too_small_to_matter_are_zero_in_a_training_step_alone() -> None:
    smallest = torch.full((4,), 1e-30)
    with denormals_flushed():
        assert (smallest * 1e-10 == 0).all()
    assert (smallest * 1e-10 != 0).all()

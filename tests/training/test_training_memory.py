"""What keeps a CPU from being slow for no gain."""

import os
import subprocess
import sys

import torch

from distilkit.training.memory import denormals_flushed


def test_numbers_too_small_to_matter_are_zero_in_a_training_step_alone() -> None:
    smallest = torch.full((4,), 1e-30)
    with denormals_flushed():
        assert (smallest * 1e-10 == 0).all()
    assert (smallest * 1e-10 != 0).all()


SHARES = """
import torch
from distilkit.training.memory import denormals_flushed
from distilkit.training.processes import Processes
Processes()
numbers = torch.full((4_000_000,), 1e-30)
with denormals_flushed():
    print(torch.get_num_threads(), float((numbers * 1e-10 == 0).float().mean()))
"""


def test_all_threads_of_a_training_step_take_them_for_zero() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", SHARES], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "1.0"]

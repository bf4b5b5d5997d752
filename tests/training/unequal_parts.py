"""Trains on as many processes as were launched, with a pass for every example, and saves losses and weights."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_training import FINE_TUNE, random_lists, stage_of, trainer_of, weights_of

from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

# The second step of an epoch has seven of them, which two processes cannot share equally.
LISTS, BATCH, STEPS = 17, 10, 4


def trainer(folder: Path, processes: int, **options: int | bool) -> Trainer:
    """Return the trainer of one of the processes."""
    # With so large an epsilon Adam follows the gradient, not its sign alone.
    settings = {"learning_rate": 0.5, "adam_epsilon": 1.0, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    stage = stage_of(FINE_TUNE, max_steps=STEPS, per_device_train_batch_size=BATCH // processes, **settings)
    examples = TrainingSet.of_lists(random_lists(LISTS), stage.examples)
    return replace(trainer_of(stage, folder), examples=examples, **options)  # type: ignore[arg-type]


def main(folder: Path) -> None:
    """Train, and let the main process write."""
    world = torch.distributed
    made = trainer(folder / "checkpoints", 2, token_budget=1, prefetch=True)
    made.train()
    parts = made.processes.gather([len(made.loader(1).micro_batches)])
    if made.processes.is_main:
        save_file(weights_of(made), folder / "weights.safetensors")
        losses = [values["loss"] for values in made.reporter.of("train").values()]  # type: ignore[attr-defined]
        (folder / "losses.json").write_text(json.dumps({"losses": losses, "parts": parts}))
    world.destroy_process_group()

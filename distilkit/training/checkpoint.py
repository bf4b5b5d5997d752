"""What a resumed stage needs: weights, optimiser state and step, as safetensors and JSON, written in one step."""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from distilkit.files import atomic_folder, read_json, remove_folder, write_json


@dataclass
class TrainerState:
    """How far a stage is, and what it has spent: seconds of training, validation not counted.

    `worse` counts the validations since the best one; `curve` holds those after given numbers of training examples.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = 0
    best_value: float | None = None
    worse: int = 0
    validation: dict[str, float] | None = None
    curve: list[dict[str, float]] = field(default_factory=list)
    loss_scale: dict[str, float] | None = None


def save_checkpoint(
    folder: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer, state: TrainerState, best: Path | None
) -> Path:
    """Write `checkpoint-STEP` into a folder, then remove the ones before it."""
    target = folder / f"checkpoint-{state.step}"
    with atomic_folder(target) as temporary:
        save_file(weights(module), temporary / "weights.safetensors")
        save_file(_flat(optimizer), temporary / "optimizer.safetensors")
        if best is not None and best.exists():
            shutil.copy2(best, temporary / "best.safetensors")
        write_json(temporary / "trainer_state.json", asdict(state))
    for other in folder.glob("checkpoint-*"):
        if other != target:
            remove_folder(other)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the checkpoint with the highest step, None where there is none."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def load_checkpoint(path: Path, module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> TrainerState:
    """Put a checkpoint's weights and optimiser state back and return its TrainerState."""
    load_weights(path / "weights.safetensors", module)
    flat = load_file(path / "optimizer.safetensors")
    state: dict[int, dict[str, Any]] = {}
    for name, value in flat.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return TrainerState(**read_json(path / "trainer_state.json"))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's parameters by name, on the CPU; tied ones once."""
    return {name: value.detach().cpu().contiguous() for name, value in module.named_parameters()}


def load_weights(path: Path, module: torch.nn.Module) -> None:
    """Put parameters written by `weights` back in place."""
    saved = load_file(path)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(saved[name])


def _flat(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{key}": value.detach().cpu().contiguous()
        for number, values in state.items()
        for key, value in values.items()
    }

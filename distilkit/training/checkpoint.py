"""What a resumed stage needs: weights, optimiser state and step, as safetensors and JSON, written in one step."""

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from distilkit.files import atomic_folder, read_json, remove_folder, set_aside, write_json
from distilkit.manifest import damage, write_manifest

KEPT = 2
"""How many checkpoints are kept: where the last one is damaged, training goes on from the one before."""
_NAME = re.compile(r"checkpoint-(\d+)")


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
    """Write `checkpoint-STEP` into a folder, then remove all but it and the one before it."""
    target = folder / f"checkpoint-{state.step}"
    with atomic_folder(target) as temporary:
        save_file(weights(module), temporary / "weights.safetensors")
        save_file(_flat(optimizer), temporary / "optimizer.safetensors")
        if best is not None and best.exists():
            shutil.copy2(best, temporary / "best.safetensors")
        write_json(temporary / "trainer_state.json", asdict(state))
        write_manifest(temporary, {"step": state.step})
    for other in checkpoints(folder)[:-KEPT]:
        remove_folder(other)
    return target


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder by their steps."""
    steps = {path: match for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))}
    return sorted(steps, key=lambda path: int(steps[path][1]))


def latest_checkpoint(folder: Path, say: Callable[[str], None]) -> Path | None:
    """Return the last checkpoint that is whole, None without any; damaged ones are set aside, and that is said."""
    for path in reversed(checkpoints(folder)):
        if (found := damage(path)) is None:
            return path
        say(f"{path} is damaged: {found}; it is set aside as {set_aside(path).name}")
    return None


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

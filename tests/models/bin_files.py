"""Rewrites the safetensors of a model folder as files of torch.save, in the forms that checkpoints have."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

FORMS = ("zip", "old", "shards")


class Payload:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.made),)


def save_bin(table: Any, file: Path, form: str = "zip") -> None:
    """Save an object as torch.save does now, or as it did before version 1.6."""
    torch.save(table, file, _use_new_zipfile_serialization=form != "old")


def write_bin(folder: Path, weights: Mapping[str, Tensor], form: str = "zip") -> None:
    if form != "shards":
        save_bin(dict(weights), folder / "pytorch_model.bin", form)
        return
    files = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    where = {name: files[place % 2] for place, name in enumerate(weights)}
    for file in files:
        save_bin({name: weight for name, weight in weights.items() if where[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def as_bin(folder: Path, form: str = "zip") -> Path:
    """Put the weights of model.safetensors into files of torch.save instead."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    write_bin(folder, weights, form)
    return folder

"""Weights on disk: safetensors files of a folder, and their names under the layouts that rankers are published in."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from distilkit.errors import UserError

# What encoders are called where a ranker keeps them beside a head.
ENCODERS = ("bert_model.", "bert.", "distilbert.", "electra.", "roberta.", "albert.")
HEADS = ("_classification_layer.", "compressor.")


def weight_names(folder: Path) -> list[str]:
    """Return the names of a folder's weights."""
    names: list[str] = []
    for file in sorted(folder.glob("*.safetensors")):
        with _opened(file) as tensors:
            names += tensors.keys()
    return names


def read_weights(folder: Path, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return a folder's weights by name, in a floating-point dtype."""
    weights: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with _opened(file) as tensors:
            weights |= {name: tensors.get_tensor(name).to(dtype) for name in tensors.keys()}  # noqa: SIM118
    return weights


def ranker_name(name: str) -> str | None:
    """Return the name that a ranker of ours has for a published weight; None for one that nothing reads.

    Encoders lie under `bert_model.` (BERT_CAT and ColBERT of the Margin-MSE paper), under their family's name
    (Stanford's ColBERT, PyLate) or bare (BERT_DOT, PreTTR); the linear map is `compressor` or `linear`.
    """
    if name.startswith(HEADS):
        return name
    if name.startswith("linear."):
        return "compressor." + name.removeprefix("linear.")
    prefix = next((prefix for prefix in ENCODERS if name.startswith(prefix)), "")
    name = name.removeprefix(prefix)
    # Positions are counted, not learned, and old versions of transformers stored them.
    return None if name.startswith("pooler.") or name == "embeddings.position_ids" else f"encoder.{name}"


def load_weights(ranker: nn.Module, weights: Mapping[str, Tensor], where: object) -> None:
    """Give a ranker its weights; raises UserError that names the first one missing, unexpected or of another shape."""
    expected = {name: tensor.shape for name, tensor in ranker.state_dict().items()}
    missing, unexpected = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    for names, what in ((missing, "missing"), (unexpected, "unexpected")):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise UserError(f"{where}: the weight {_short(min(names))} is {what}{more}")
    for name, shape in expected.items():
        if weights[name].shape != shape:
            found = list(weights[name].shape)
            raise UserError(f"{where}: the weight {_short(name)} has the shape {found}, not {list(shape)}")
    ranker.load_state_dict(dict(weights))


def _short(name: str) -> str:
    return name.removeprefix("encoder.")


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt") as tensors:
            yield tensors
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None

"""Writes small checkpoints in the layouts that the Margin-MSE paper's were released in; imports nothing of ours.

DistilBERT of 4 layers (2 heads, 8 dimensions) with weights that are a function of their names.
"""

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

VOCABULARY, DIM, HEADS, LAYERS, INNER, POSITIONS = 40, 8, 2, 4, 16, 64
BASE = {
    "model_type": "distilbert",
    "vocab_size": VOCABULARY,
    "dim": DIM,
    "n_heads": HEADS,
    "n_layers": LAYERS,
    "hidden_dim": INNER,
    "max_position_embeddings": POSITIONS,
    "activation": "gelu",
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "sinusoidal_pos_embds": False,
    "pad_token_id": 0,
}


def value(name: str, shape: tuple[int, ...], scale: float) -> Tensor:
    count = math.prod(shape)
    start = zlib.crc32(name.encode()) % 1000
    flat = torch.sin(0.37 * torch.arange(count, dtype=torch.float64) + start) * scale
    norm = name.endswith(".weight") and ("LayerNorm" in name or "layer_norm" in name)
    return (flat + norm).view(shape)


def encoder_shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embeddings.word_embeddings.weight", (VOCABULARY, DIM)
    yield "embeddings.position_embeddings.weight", (32, DIM)
    yield from (("embeddings.LayerNorm.weight", (DIM,)), ("embeddings.LayerNorm.bias", (DIM,)))
    for layer in range(LAYERS):
        prefix = f"transformer.layer.{layer}."
        linear = {f"attention.{name}_lin": (DIM, DIM) for name in "qkv"} | {"attention.out_lin": (DIM, DIM)}
        linear |= {"ffn.lin1": (INNER, DIM), "ffn.lin2": (DIM, INNER)}
        for name, shape in linear.items():
            yield f"{prefix}{name}.weight", shape
            yield f"{prefix}{name}.bias", shape[:1]
        for name in ("sa_layer_norm", "output_layer_norm"):
            yield f"{prefix}{name}.weight", (DIM,)
            yield f"{prefix}{name}.bias", (DIM,)


def encoder(prefix: str, scale: float) -> dict[str, Tensor]:
    return {prefix + name: value(name, shape, scale) for name, shape in encoder_shapes()}


def write(folder: Path, config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: weight.contiguous() for name, weight in weights.items()}, folder / "model.safetensors")


def base_folder(folder: Path) -> str:
    """Write the configuration of the language model that a released configuration names, and return its name."""
    base = folder.parent / "distilbert-tiny"
    base.mkdir(parents=True, exist_ok=True)
    (base / "config.json").write_text(json.dumps(BASE))
    return str(base)


def write_dot(folder: Path, fill: float = 0.6) -> None:
    positions = {"embeddings.position_ids": torch.arange(32)[None]}
    write(
        folder,
        {**BASE, "architectures": ["DistilBertModel"], "max_position_embeddings": 32},
        encoder("", fill) | positions,
    )


def write_cat(folder: Path, fill: float = 0.6) -> None:
    config = {
        "bert_model": base_folder(folder),
        "trainable": True,
        "model_type": "BERT_Cat",
        "architectures": ["BERT_Cat"],
    }
    head = {
        f"_classification_layer.{name}": value(f"_classification_layer.{name}", shape, fill)
        for name, shape in (("weight", (1, DIM)), ("bias", (1,)))
    }
    write(folder, config, encoder("bert_model.", fill) | head)


def write_colbert(folder: Path, fill: float = 0.6) -> None:
    config = {"bert_model": base_folder(folder), "compression_dim": DIM, "dropout": 0.0, "return_vecs": False}
    config |= {"trainable": True, "model_type": "ColBERT", "architectures": ["ColBERT"]}
    head = {
        f"compressor.{name}": value(f"compressor.{name}", shape, fill)
        for name, shape in (("weight", (DIM, DIM)), ("bias", (DIM,)))
    }
    write(folder, config, encoder("bert_model.", fill) | head)


def write_prettr(folder: Path, fill: float = 0.6) -> None:
    config = {**BASE, "architectures": ["PreTTR"], "max_position_embeddings": 32}
    head = {"_classification_layer.weight": value("_classification_layer.weight", (1, DIM), fill)}
    write(folder, config, encoder("", fill) | head)


def write_released_prettr(folder: Path, fill: float = 0.6) -> None:
    """Write PreTTR with the configuration of its own class, whose model type transformers does not know."""
    write_prettr(folder, fill)
    config = json.loads((folder / "config.json").read_text())
    more = {"model_type": "PreTTR", "join_layer_idx": 2, "initializer_range": 0.02, "tie_weights_": True}
    (folder / "config.json").write_text(json.dumps({**config, **more, "transformers_version": "4.3.2"}))

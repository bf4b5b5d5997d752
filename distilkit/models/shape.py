"""The size of an encoder, and the names that transformers' configurations give to its fields; imports no torch."""

import copy
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distilkit.errors import UserError
from distilkit.files import read_json
from distilkit.models.weights import weight_shapes

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# How a student starts, but from a checkpoint of its own.
STARTS = ("random", "first_layers", "every_nth_layer")

# HN's four-layer student is the one shape whose feed-forward layer is not four times as wide as its states.
INTERMEDIATE_SIZES = {(4, 312): 1200}


@dataclass(frozen=True)
class Shape:
    """Number of layers and hidden size, written `L3_H384`."""

    layers: int
    hidden: int

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Read a shape such as `L3_H384`."""
        match = re.fullmatch(r"L([1-9]\d*)_H([1-9]\d*)", text)
        if match is None:
            raise UserError(f"a shape is written like 'L3_H384' (3 layers of 384 dimensions), not {text!r}")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, config: "PretrainedConfig") -> "Shape":
        """Return the shape of a configured model."""
        return cls(config.num_hidden_layers, config.hidden_size)

    def __str__(self) -> str:
        return f"L{self.layers}_H{self.hidden}"


# The names that families have for the number of layers, the size of states and that of the feed-forward network.
LAYERS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer", "encoder_layers")
HIDDEN = ("hidden_size", "dim", "d_model", "n_embd")
INNER = ("intermediate_size", "hidden_dim", "d_ff", "d_inner", "n_inner", "encoder_ffn_dim", "ffn_dim")


def reshaped(config: "PretrainedConfig", shape: Shape, taken: tuple[int, ...] | None = None) -> "PretrainedConfig":
    """Return a configuration of another shape with the same heads, vocabulary and activations.

    What it says layer by layer, such as which of them see a window alone, follows the layers that are taken.
    """
    if shape.hidden % config.num_attention_heads:
        raise UserError(
            f"the hidden size of {shape} is not a multiple of the {config.num_attention_heads} attention heads "
            "that the student takes over"
        )
    config = copy.deepcopy(config)
    if shape.hidden != config.hidden_size:
        name = next((name for name in INNER if hasattr(config, name)), "intermediate_size")
        setattr(config, name, INTERMEDIATE_SIZES.get((shape.layers, shape.hidden), 4 * shape.hidden))
    before, taken = config.num_hidden_layers, taken or tuple(range(shape.layers))
    try:
        config.hidden_size = shape.hidden
        config.num_hidden_layers = shape.layers
        for name in ("num_decoder_layers", "decoder_layers"):
            if config.is_encoder_decoder and hasattr(config, name):
                setattr(config, name, shape.layers)
    except NotImplementedError:
        raise UserError(f"a {config.model_type} cannot be made of another shape: take another family") from None
    for name, values in config.to_dict().items():
        if "layer" in name and isinstance(values, list) and len(values) == before:
            setattr(config, name, [values[layer % before] for layer in taken])
    return config


def set_dropout(config: "PretrainedConfig", probability: float | None) -> None:
    """Set every dropout probability of a configuration; None leaves what it has."""
    if probability is None:
        return
    for name in (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "classifier_dropout_prob",
        "dropout",
        "attention_dropout",
        "seq_classif_dropout",
    ):
        if hasattr(config, name):
            setattr(config, name, probability)


def cut_size(folder: Path, shape: str | None) -> tuple[int, int, int]:
    """Return layers, hidden and intermediate size of a model that is cut to a shape; its own where there is none."""
    source = encoder_size(folder)
    if shape is None:
        return source
    wanted = Shape.parse(shape)
    if wanted.hidden == source[1]:
        return wanted.layers, wanted.hidden, source[2]
    return wanted.layers, wanted.hidden, INTERMEDIATE_SIZES.get((wanted.layers, wanted.hidden), 4 * wanted.hidden)


def encoder_size(folder: Path) -> tuple[int, int, int]:
    """Return layers, hidden size and intermediate size from a model's config.json, whatever its type calls them.

    A released configuration of the Margin-MSE paper's names a language model instead: they are read off the weights.
    """
    config = read_json(folder / "config.json")
    if "bert_model" in config:
        return _size_of_weights(folder)
    layers, hidden, inner = (
        next((config[name] for name in names if config.get(name)), None) for names in (LAYERS, HIDDEN, INNER)
    )
    if layers is None and config.get("block_sizes"):
        layers = sum(config["block_sizes"])
    if layers is None or hidden is None:
        missing = "number of layers" if layers is None else "size of its states"
        raise UserError(f"{folder / 'config.json'} says nothing of the {missing}")
    return layers, hidden, inner or 4 * hidden


def _size_of_weights(folder: Path) -> tuple[int, int, int]:
    shapes = weight_shapes(folder)
    layers = {match[1] for name in shapes if (match := re.search(r"\.layer\.(\d+)\.", name))}
    inner = next(
        (s for name, s in shapes.items() if name.endswith((".ffn.lin1.weight", ".intermediate.dense.weight"))), None
    )
    if inner is None:
        raise UserError(f"{folder} holds no layers of the language model that its config.json names")
    return len(layers), inner[1], inner[0]

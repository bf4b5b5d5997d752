"""A model folder: its config.json, its weights by name, and what other libraries say of it in files beside them."""

import re
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from distilkit.errors import UserError, first_line
from distilkit.files import read_json
from distilkit.models.declared import Declared
from distilkit.models.silence import silent
from distilkit.models.sound import require_sound
from distilkit.models.weights import read_weights, weight_files, weight_shapes

LOCAL = {"local_files_only": True, "trust_remote_code": False}
# What a saved ranker's config.json says about it to us.
ENTRY = "distilkit"
# The model types of the Margin-MSE paper's PreTTR, a DistilBERT whose tokenizer was not released with it.
PRETTR = ("PreTTR", "prettr")
PRETTR_BASE = "distilbert-base-uncased"
# transformers' limit of a tokenizer without one is larger, and ours for a model that states no limit at all.
ENDLESS, WITHOUT_LIMIT = 1 << 24, 512
# Where the Margin-MSE paper's BERT_CAT and ColBERT keep their encoders.
WRAPPED = "bert_model."


class Checkpoint:
    """A model folder: its config.json, the names and shapes of its weights, and what sentence-transformers adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def config(self) -> dict[str, Any]:
        """The table in config.json; raises UserError where there is none."""
        try:
            values = read_json(self.folder / "config.json")
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder / 'config.json'} cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise UserError(f"{self.folder / 'config.json'} holds no table")
        require_sound(values, self.folder)
        return values

    @property
    def entry(self) -> dict[str, Any]:
        """What `save_ranker` wrote about the ranker: architecture, options, lengths; {} where it did not."""
        found = self.config.get(ENTRY) or {}
        if not isinstance(found, dict):
            raise UserError(f"{self.folder / 'config.json'}: {ENTRY} is not a table")
        return found

    @property
    def model_class(self) -> str:
        """The class that config.json names, '' for none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def released_base(self) -> str | None:
        """The language model that a checkpoint of the Margin-MSE paper's was made from; None for any other folder."""
        try:
            default = PRETTR_BASE if self.config.get("model_type") in PRETTR else None
            return cast(str | None, self.config.get("bert_model", default))
        except UserError:
            return None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights by name."""
        return weight_shapes(self.folder)

    def weights(self, dtype: torch.dtype = torch.float32, names: Collection[str] | None = None) -> dict[str, Tensor]:
        """Return the weights by name, in a floating-point dtype: all, or those that are named."""
        weights: dict[str, Tensor] = {}
        for file in weight_files(self.folder):
            weights |= {name: weight.to(dtype) for name, weight in read_weights(file, names).items()}
        return weights

    def named_weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Return all weights of a ranker around an encoder, the linear map of its states as `compressor`.

        Encoders lie under `bert_model.` in the Margin-MSE paper's ColBERT, else under names that transformers knows; a
        linear map is called `compressor`, `linear` (Stanford's ColBERT) or lies in the Dense module of
        sentence-transformers.
        """
        dense = {} if self.declared.dense is None else Checkpoint(self.declared.dense).weights(dtype)
        both = {**dense, **self.weights(dtype)}
        return {re.sub(r"^linear\.", "compressor.", name.removeprefix(WRAPPED)): both[name] for name in both}

    @property
    def linear_size(self) -> int | None:
        """The size of the vectors that the linear map of states makes, None without one."""
        shapes = self._shapes_of_all
        found = next((shapes[name] for name in ("compressor.weight", "linear.weight") if name in shapes), None)
        return None if found is None else found[0]

    @property
    def linear_bias(self) -> bool:
        """Whether that map has a bias."""
        return not {"compressor.bias", "linear.bias"}.isdisjoint(self._shapes_of_all)

    @property
    def _shapes_of_all(self) -> Mapping[str, Any]:
        dense = self.declared.dense
        return self.shapes if dense is None else {**Checkpoint(dense).shapes, **self.shapes}

    @property
    def own_length(self) -> int:
        """The most tokens that sentence-transformers reads: the tokenizer's limit, or that of the positions if less."""
        path = self.folder / "tokenizer_config.json"
        told = read_json(path).get("model_max_length") if path.is_file() else None
        positions = getattr(self.encoder_config(), "max_position_embeddings", None)
        given = [int(value) for value in (told, positions) if value is not None and 0 < value < ENDLESS]
        return min(given, default=WITHOUT_LIMIT)

    @cached_property
    def declared(self) -> Declared:
        """What the files of sentence-transformers, PyLate and Stanford's ColBERT say."""
        return Declared(self.folder)

    def encoder_config(self) -> PretrainedConfig:
        """Return the encoder's configuration as transformers reads it; raises UserError where it cannot."""
        try:
            with silent():
                return cast(PretrainedConfig, AutoConfig.from_pretrained(self.folder, **LOCAL))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{self.folder / 'config.json'}: {first_line(error)}") from None

"""The head of a masked language model, which predicts a token from its state."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig
from transformers.activations import ACT2FN

from distilkit.data.arrays import Integers
from distilkit.errors import UserError
from distilkit.models.checkpoint import Checkpoint


class Names(NamedTuple):
    """What a family's checkpoints call the parts of the head."""

    dense: str
    norm: str
    bias: str
    decoder: str


LAYOUTS = (
    Names(
        dense="cls.predictions.transform.dense",
        norm="cls.predictions.transform.LayerNorm",
        bias="cls.predictions.bias",
        decoder="cls.predictions.decoder",
    ),
    Names(dense="vocab_transform", norm="vocab_layer_norm", bias="vocab_projector.bias", decoder="vocab_projector"),
)
# Checkpoints converted from TensorFlow, such as bert-base-uncased, keep the old names.
OLD_NAMES = {"weight": "gamma", "bias": "beta"}


class LmHead(nn.Module):
    """BERT's prediction head: dense, activation, LayerNorm, and a decoder whose weight is the word embeddings.

    logits = E LayerNorm(act(W h + b)) + c (Devlin et al. 2019), with E handed in at each
    call, so that head and encoder share one weight whoever holds it.
    """

    def __init__(self, hidden_size: int, vocabulary: int, activation: str = "gelu", epsilon: float = 1e-12) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = ACT2FN[activation]
        self.norm = nn.LayerNorm(hidden_size, eps=epsilon)
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, states: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return logits [N, V] from states [N, H] and word embeddings [V, H]."""
        return F.linear(self.norm(self.activation(self.dense(states))), word_embeddings, self.bias)

    @torch.no_grad()
    def keep_rows(self, rows: Integers) -> None:
        """Predict some entries of the vocabulary alone, for word embeddings that were cut to them."""
        self.bias = nn.Parameter(self.bias.detach()[torch.from_numpy(rows)].clone(), self.bias.requires_grad)


@torch.no_grad()
def new_lm_head(config: PretrainedConfig) -> LmHead:
    """Return a head for a model's configuration, its weights from N(0, initializer_range) and its biases 0."""
    head = _empty(config)
    nn.init.normal_(head.dense.weight, std=config.initializer_range)
    nn.init.zeros_(head.dense.bias)
    return head


def has_lm_head(folder: Path) -> bool:
    """Tell whether a model folder holds the head, from the names in its weights."""
    return _names(Checkpoint(folder)) is not None


def load_lm_head(folder: Path) -> LmHead | None:
    """Return the head in a BERT or DistilBERT folder, in float32, or None where there is none.

    Raises UserError for a head that lacks a part, or whose decoder is not the word embeddings.
    """
    checkpoint = Checkpoint(folder)
    names = _names(checkpoint)
    if names is None:
        return None
    config = checkpoint.encoder_config()
    if f"{names.decoder}.weight" in checkpoint.shapes and not config.tie_word_embeddings:
        raise UserError(f"{folder} has a masked-LM head with a decoder of its own; expected tied word embeddings")
    theirs = {
        **{f"dense.{part}": (f"{names.dense}.{part}",) for part in ("weight", "bias")},
        **{f"norm.{part}": (f"{names.norm}.{part}", f"{names.norm}.{old}") for part, old in OLD_NAMES.items()},
        "bias": (names.bias, f"{names.decoder}.bias"),
    }
    found = {ours: _present(checkpoint, *candidates) for ours, candidates in theirs.items()}
    weights = checkpoint.weights(names=set(found.values()))
    head = _empty(config)
    try:
        head.load_state_dict({ours: weights[name] for ours, name in found.items()})
    except RuntimeError as error:
        raise UserError(f"{folder} has a masked-LM head that does not fit its config.json: {error}") from error
    return head


def _empty(config: PretrainedConfig) -> LmHead:
    activation = getattr(config, "hidden_act", None) or config.activation
    return LmHead(config.hidden_size, config.vocab_size, activation, getattr(config, "layer_norm_eps", 1e-12))


def _names(checkpoint: Checkpoint) -> Names | None:
    return next((names for names in LAYOUTS if f"{names.dense}.weight" in checkpoint.shapes), None)


def _present(checkpoint: Checkpoint, *names: str) -> str:
    """Return the first of some names that a weight has."""
    name = next((name for name in names if name in checkpoint.shapes), None)
    if name is None:
        raise UserError(f"{checkpoint.folder} has part of a masked-LM head: {names[0]} is missing")
    return name

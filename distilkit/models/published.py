"""The layout that the checkpoints of Hofstätter et al. 2020 were released in.

Their classes loaded a language model while they were built, which transformers no longer allows, and their
configurations do not hold its sizes: those are read off the weights.
"""

import re
from pathlib import Path
from typing import Any

from transformers import AutoConfig, BertConfig, DistilBertConfig, PretrainedConfig

from distilkit.errors import UserError
from distilkit.models.checkpoint import PRETTR, WRAPPED, Checkpoint
from distilkit.models.silence import silent

# The language models that the released configurations name; of their fields the number of heads is not in the weights.
KNOWN_BASES = {
    "distilbert-base-uncased": DistilBertConfig,
    "distilbert-base-cased": DistilBertConfig,
    "bert-base-uncased": BertConfig,
}
LAYER = re.compile(r"(?:transformer|encoder)\.layer\.(\d+)\.")
HEAD = "_classification_layer.weight"


def is_wrapped(checkpoint: Checkpoint) -> bool:
    """Tell whether the encoder's weights lie under `bert_model.`, as BERT_CAT's and ColBERT's do."""
    return any(name.startswith(WRAPPED) for name in checkpoint.shapes)


def published_config(checkpoint: Checkpoint) -> PretrainedConfig:
    """Return the configuration of a checkpoint's encoder: a released one's sizes are read off its weights."""
    values = checkpoint.config
    if "bert_model" not in values and values.get("model_type") not in (None, *PRETTR):
        return checkpoint.encoder_config()
    base, shapes = values.get("bert_model"), {name.removeprefix(WRAPPED): s for name, s in checkpoint.shapes.items()}
    config = _own_config(values) if base is None else _named_config(base, checkpoint.folder)
    try:
        words = shapes["embeddings.word_embeddings.weight"]
        positions = shapes["embeddings.position_embeddings.weight"]
        inner = "ffn.lin1.weight" if isinstance(config, DistilBertConfig) else "intermediate.dense.weight"
        stack = "transformer" if isinstance(config, DistilBertConfig) else "encoder"
        feed_forward = shapes[f"{stack}.layer.0.{inner}"]
    except KeyError as error:
        raise UserError(f"{checkpoint.folder}: the weight {error.args[0]} is missing") from None
    config.vocab_size, config.hidden_size = words
    config.max_position_embeddings = positions[0]
    config.num_hidden_layers = 1 + max(int(match[1]) for name in shapes if (match := LAYER.search(name)))
    setattr(config, "hidden_dim" if isinstance(config, DistilBertConfig) else "intermediate_size", feed_forward[0])
    return config


def _own_config(values: dict[str, Any]) -> PretrainedConfig:
    """Return a released PreTTR's configuration: that of a DistilBERT under another model type."""
    return DistilBertConfig.from_dict({key: value for key, value in values.items() if key != "model_type"})


def _named_config(base: str, where: Path) -> PretrainedConfig:
    if base in KNOWN_BASES:
        return KNOWN_BASES[base]()
    try:
        with silent():
            config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    except (OSError, ValueError, KeyError):
        raise UserError(f"{where / 'config.json'}: bert_model = {base!r} is not a model that can be found") from None
    if not isinstance(config, DistilBertConfig | BertConfig):
        raise UserError(f"{where / 'config.json'}: bert_model = {base!r} is neither a BERT nor a DistilBERT")
    return config

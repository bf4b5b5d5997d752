"""Configurations of tiny models of every family, and batches for them."""

from typing import Any

import torch
from transformers import AlbertConfig, BertConfig, DistilBertConfig, ElectraConfig, RobertaConfig

from distilkit.models.batch import TokenBatch

FAMILIES = ["bert", "distilbert", "electra", "roberta", "albert"]


def tiny_config(family: str, **changes: Any) -> Any:
    """Return the configuration of a tiny model with 4 layers and 2 heads."""
    size = {
        "vocab_size": 40,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "hidden_size": 16,
        "intermediate_size": 64,
        "max_position_embeddings": 40,
        "num_labels": 1,
        # Large weights, so that a wrong mask or layer shows.
        "initializer_range": 0.2,
    }
    match family:
        case "bert":
            return BertConfig(**size | changes)
        case "electra":
            return ElectraConfig(**size | {"embedding_size": 8} | changes)
        case "roberta":
            return RobertaConfig(**size | {"type_vocab_size": 1, "pad_token_id": 0} | changes)
        case "albert":
            return AlbertConfig(**size | {"embedding_size": 8} | changes)
        case _:
            names = {"num_hidden_layers": "n_layers", "num_attention_heads": "n_heads", "hidden_size": "dim"}
            names["intermediate_size"] = "hidden_dim"
            return DistilBertConfig(**{names.get(name, name): value for name, value in (size | changes).items()})


def tiny_batch(lengths: list[int], padded: int | None = None, seed: int = 0) -> TokenBatch:
    """Return a batch of random texts of some lengths."""
    torch.manual_seed(seed)
    widths = torch.arange(padded or max(lengths))
    mask = (widths < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, 40, (len(lengths), max(lengths)))
    ids = torch.nn.functional.pad(ids, (0, mask.shape[1] - ids.shape[1])) * mask
    return TokenBatch(ids, mask, (widths >= 3).long() * mask)

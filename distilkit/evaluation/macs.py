"""Multiply-accumulates of a transformer, by formula."""

from typing import Any


def encoder_macs(layers: int, hidden: int, intermediate: int, length: int) -> int:
    """Return the multiply-accumulates of one sequence through a transformer encoder.

    layers · (L·(4H² + 2·H·I) + 2·L²·H): the "FLOPs" of Simplified TinyBERT's table 1 at L = 256.
    """
    return layers * (length * (4 * hidden**2 + 2 * hidden * intermediate) + 2 * length**2 * hidden)


def ranker_macs(ranker: Any, length: int) -> int:
    """Return the multiply-accumulates of one pair through a ranker's encoder."""
    config = ranker.config
    # DistilBERT's name for it is the other one.
    intermediate = config.hidden_dim if hasattr(config, "hidden_dim") else config.intermediate_size
    return encoder_macs(ranker.num_layers, ranker.hidden_size, intermediate, length)

"""Multiply-accumulates (MACs) by formula; each architecture says with these what it costs."""

from typing import Any, NamedTuple

# Families whose feed-forward network multiplies two maps of a state, or shares the work out otherwise than BERT's.
GATED = ("modernbert", "nomic_bert", "mobilebert", "deberta-v2", "deberta", "xlnet", "funnel", "canine")


class SideMacs(NamedTuple):
    """Multiply-accumulates of encoding a query, of encoding a document, and of scoring the two.

    At query time a system pays for the first once and for the last with every candidate; the second is paid once per
    document, before any query.
    """

    query: int
    document: int
    pair: int


def encoder_macs(layers: int, hidden: int, intermediate: int, length: int) -> int:
    """Return the multiply-accumulates of one sequence through a transformer encoder.

    layers · (L·(4H² + 2·H·I) + 2·L²·H): the "FLOPs" of Simplified TinyBERT's table 1 at L = 256.
    """
    return layers * (length * (4 * hidden**2 + 2 * hidden * intermediate) + 2 * length**2 * hidden)


def counted_macs(encoder: Any, layers: int, of: int, length: int) -> int:
    """Return the multiply-accumulates of one sequence through some of a model's layers, by its linear maps.

    Every map counts its weights for each token; to these come the products of all queries with all keys, and of their
    shares with all values.
    """
    from torch import nn

    maps = [one for name, one in encoder.named_modules() if isinstance(one, nn.Linear) and "pooler" not in name]
    weights, config = sum(one.weight.numel() for one in maps), encoder.config
    width = config.num_attention_heads * (
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    return int(layers * (length * weights / of + 2 * length**2 * width))

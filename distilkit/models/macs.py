"""Multiply-accumulates (MACs) by formula; each architecture says with these what it costs."""

from typing import NamedTuple


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

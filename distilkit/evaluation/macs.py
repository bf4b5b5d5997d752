"""Multiply-accumulates of the rankers, by formula."""

from typing import Any, NamedTuple

KERNELS = 11


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


def ranker_macs(ranker: Any, length: int) -> int:
    """Return the multiply-accumulates of one text, or packed pair, through a ranker's encoder."""
    return _layers_macs(ranker, ranker.num_layers, length)


def side_macs(ranker: Any, query_length: int, document_length: int) -> SideMacs:
    """Return where a ranker's multiply-accumulates fall for a query and a document of so many tokens each."""
    lengths = (query_length, document_length)
    match ranker.architecture:
        case "bert_dot":
            size = ranker.options.dim or 0
            query, document = (ranker_macs(ranker, length) + ranker.hidden_size * size for length in lengths)
            return SideMacs(query, document, size or ranker.hidden_size)
        case "colbert":
            size = ranker.options.dim or ranker.hidden_size
            query, document = (ranker_macs(ranker, length) + length * ranker.hidden_size * size for length in lengths)
            return SideMacs(query, document, query_length * document_length * size)
        case "prettr":
            query, document = (_layers_macs(ranker, ranker.join, length) for length in lengths)
            joined = _layers_macs(ranker, ranker.num_layers - ranker.join, query_length + document_length)
            return SideMacs(query, document, joined)
        case "tk":
            width = 0 if ranker.projection is None else ranker.config.embedding_size
            query, document = (ranker_macs(ranker, length) + length * width * ranker.hidden_size for length in lengths)
            return SideMacs(query, document, query_length * document_length * (ranker.hidden_size + KERNELS))
        case _:
            return SideMacs(0, 0, ranker_macs(ranker, query_length + document_length))


def pair_macs(ranker: Any, tokens: Any) -> int:
    """Return the multiply-accumulates of one pair of the longest texts that `tokens` makes, with nothing kept."""
    if ranker.inputs == "pair":
        return ranker_macs(ranker, tokens.max_length)
    return sum(side_macs(ranker, tokens.queries.longest, tokens.documents.longest))


def _layers_macs(ranker: Any, layers: int, length: int) -> int:
    config = ranker.config
    # DistilBERT's name for it is the other one.
    intermediate = config.hidden_dim if hasattr(config, "hidden_dim") else config.intermediate_size
    return encoder_macs(layers, ranker.hidden_size, intermediate, length)

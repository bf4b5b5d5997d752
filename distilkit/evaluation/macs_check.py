"""Multiply-accumulates as they are counted in a forward pass, to hold the formulas of `macs` against."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from distilkit.models.attention import whole_layers
from distilkit.models.batch import SideBatch, TokenBatch
from distilkit.models.ranker import Ranker

# Linear maps that the formulas hold (layers, DOT's, ColBERT's and TK's own), and one that is not a matrix product.
IN_FORMULA = re.compile(r"(?:^|\.)(?:layers?|albert_layer_groups)\.\d|^compressor$|^projection$|\.kernel_bin_weights$")
EMBEDDING_MAPS = ("embeddings_project", "embedding_hidden_mapping_in")


@dataclass(frozen=True)
class MacsCheck:
    """A pair's multiply-accumulates by formula beside those of the matrix products of a real forward pass.

    Attributes:
        formula: what `macs` computes
        counted: what torch's FlopCounterMode counts, which sees matrix products alone
        outside_formula: matrix products that the formula leaves out, as the papers do: the head, and the map of
            embeddings that are narrower than the states
        no_product: what the formula holds that is not a matrix product: a dot product row by row, kernels
    """

    formula: int
    counted: int
    outside_formula: dict[str, int] = field(default_factory=dict)
    no_product: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the two are the same but for what is named."""
        return self.counted == self.formula + sum(self.outside_formula.values()) - self.no_product

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "agrees": self.agrees}


def check_macs(ranker: Ranker, query_length: int, document_length: int) -> MacsCheck:
    """Count a pair of texts of so many tokens each, special tokens and MASKs included, and hold the formula against it.

    Looking embeddings up, normalisation, softmax and activations are in neither figure.
    """
    device = next(ranker.parameters()).device
    query, document = (_text(ranker, length, device) for length in (query_length, document_length))
    batch: SideBatch | TokenBatch = SideBatch(query, document)
    if ranker.reads_pairs:
        batch = _text(ranker, query_length + document_length, device)
    formula, counted = sum(ranker.side_macs(query_length, document_length)), counted_macs(lambda: ranker.score(batch))
    outside = _outside_formula(ranker, query_length + document_length)
    return MacsCheck(formula, counted, outside, ranker.macs_without_product(query_length, document_length))


def counted_macs(work: Callable[[], object]) -> int:
    """Return the multiply-accumulates of the matrix products in some work."""
    fast = torch.backends.mha.get_fastpath_enabled()
    # Fused attention and fused layers are one operation each to the counter, which knows few of them.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), whole_layers(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            work()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2


def _outside_formula(ranker: nn.Module, tokens: int) -> dict[str, int]:
    found = {"head": 0, "embedding map": 0}
    for name, module in ranker.named_modules():
        if isinstance(module, nn.Linear) and not IN_FORMULA.search(name):
            mapped = name.endswith(EMBEDDING_MAPS)
            size = module.in_features * module.out_features
            # A head reads one token's state.
            found["embedding map" if mapped else "head"] += size * tokens if mapped else size
    return {name: count for name, count in found.items() if count}


def _text(ranker: Ranker, length: int, device: torch.device) -> TokenBatch:
    ids = torch.full((1, length), min(1000, ranker.config.vocab_size - 1), device=device)
    return TokenBatch(ids, torch.ones_like(ids), torch.zeros_like(ids))

"""Tiny rankers that read queries and documents apart, and a batch for them."""

from dataclasses import replace
from typing import Any

import torch
from tiny_models import tiny_batch, tiny_config

from distilkit.models import STUDENTS, student_options
from distilkit.models.batch import SideBatch, TokenBatch
from distilkit.models.encoder import encoder_of
from distilkit.models.tk import Tk

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "dot": ("bert_dot", {}),
    "dot-8": ("bert_dot", {"dim": 8}),
    "colbert": ("colbert", {"form": "papers"}),
    "colbert-stanford": ("colbert", {"form": "stanford", "dim": 8}),
    "prettr": ("prettr", {"document_offset": 10}),
    "prettr-0": ("prettr", {"document_offset": 10, "join_layer": 0}),
    "tk": ("tk", {"dim": 16, "feed_forward": 20}),
    "tk-projected": ("tk", {"dim": 8, "heads": 4, "feed_forward": 20, "kernel_scale": True}),
}


def ranker_of(kind: str, family: str = "bert", seed: int = 0) -> Any:
    architecture, values = KINDS[kind]
    options = student_options(architecture, values)
    torch.manual_seed(seed)
    if architecture == "tk":
        ranker: Any = Tk(torch.randn(40, 16), options, pad_token_id=0)  # type: ignore[arg-type]
        torch.nn.init.normal_(ranker.kernels.kernel_bin_weights.weight)
    else:
        ranker = STUDENTS[architecture].ranker()(encoder_of(tiny_config(family)), options)  # type: ignore[arg-type]
    return ranker.eval()


def masked(batch: TokenBatch) -> TokenBatch:
    """Return a batch in which the last token is scored but not seen, and the second the other way round."""
    seen, scored = batch.attention_mask.clone(), batch.attention_mask.clone()
    last = seen.sum(1) - 1
    seen[torch.arange(len(seen)), last] = 0
    scored[:, 1] = 0
    return replace(batch, attention_mask=seen, scored=scored)


def sides(kind: str = "dot") -> SideBatch:
    batch = SideBatch(tiny_batch([4, 6, 3], seed=3), tiny_batch([7, 4, 9], seed=4))
    return replace(batch, query=masked(batch.query), document=masked(batch.document)) if "stanford" in kind else batch

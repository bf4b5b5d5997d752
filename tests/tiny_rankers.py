"""Tiny rankers of all five architectures around one checkpoint, saved as a run would save them."""

from pathlib import Path
from typing import Any

import torch

from distilkit.models import student_options
from distilkit.models.initialise import student_from
from distilkit.models.load import load_tokenizer
from distilkit.models.save import save_ranker

OPTIONS: dict[str, dict[str, Any]] = {
    "bert_cat": {},
    "bert_dot": {"dim": 8},
    "colbert": {"form": "papers", "dim": 8, "query_masks": 2},
    "prettr": {"join_layer": 1, "document_offset": 8},
    "tk": {"layers": 1, "heads": 2, "feed_forward": 8},
}
QUERY_LENGTH, DOCUMENT_LENGTH, MAX_LENGTH = 8, 16, 24


def save_tiny(folder: Path, checkpoint: Path, architecture: str, options: dict[str, Any] | None = None) -> Any:
    """Save a random ranker whose scores differ from text to text as a trained one's do, and return it."""
    torch.manual_seed(3)
    chosen = student_options(architecture, OPTIONS[architecture] if options is None else options)
    ranker = student_from(checkpoint, architecture=architecture, options=chosen).eval()
    with torch.no_grad():
        for parameter in ranker.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10)
    lengths = {"max_length": MAX_LENGTH, "query_length": QUERY_LENGTH, "document_length": DOCUMENT_LENGTH}
    save_ranker(ranker, load_tokenizer(checkpoint), folder, **lengths)
    return ranker

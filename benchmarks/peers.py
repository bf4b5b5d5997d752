"""sentence-transformers' trainers, stepped through and timed as the product's are."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import TrainerCallback
from transformers.utils import logging

from benchmarks.harness import now
from benchmarks.texts import tokenizer
from distilkit.models.cat import BertCat

# The trainers' own options beside their defaults.
QUIET: Mapping[str, Any] = {"report_to": "none", "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}


def save_for_peers(student: Any, folder: Path) -> Path:
    """Write a student as a transformers model with its tokenizer."""
    model = student.model if isinstance(student, BertCat) else student.encoder
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


disable_progress_bars()
logging.disable_progress_bar()
logging.set_verbosity_error()


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ended, and how many tokens that are no padding it read."""

    def __init__(self, embeddings: torch.nn.Embedding) -> None:
        self.ends: list[float] = []
        self.tokens: list[int] = []
        self._read = 0
        self._handle = embeddings.register_forward_pre_hook(self._count)

    def _count(self, embeddings: Any, args: tuple[torch.Tensor, ...]) -> None:
        self._read += int((args[0] != embeddings.padding_idx).sum())

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Close a step."""
        self.ends.append(now())
        self.tokens.append(self._read)
        self._read = 0

    def seconds_per_token(self) -> float:
        """Return what the steps after the first took, data loading included."""
        self._handle.remove()
        return (self.ends[-1] - self.ends[0]) / sum(self.tokens[1:])


def steps(
    trainer: type[Any], arguments: type[Any], model: Any, loss: Any, columns: Mapping[str, list[Any]], **options: Any
) -> float:
    """Train for as many steps as the columns give, and return the seconds per token after the first."""
    clock = Clock(model.transformers_model.get_input_embeddings())
    with TemporaryDirectory() as folder:
        given = arguments(output_dir=folder, num_train_epochs=1, use_cpu=True, learning_rate=1e-5, **QUIET, **options)
        trainer(
            model=model, args=given, train_dataset=Dataset.from_dict(dict(columns)), loss=loss, callbacks=[clock]
        ).train()
    return clock.seconds_per_token()

"""The original way to take a step of Simplified TinyBERT, on the product's models, in the papers' operations.

Every batch is padded to the full length. Attention is a product, a division, a sum with the mask, a softmax, dropout
and a product. Every layer of both models leaves its map before the softmax and every hidden state. A loss sets padding
to 0 in both of its sides and takes torch's mean squared error, here divided by what is not padding. AdamW updates one
tensor after the other. All is float32, with the C library's allocator as it is.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.masking_utils import sdpa_mask

from benchmarks.harness import now
from benchmarks.texts import MAX_LENGTH, Integers
from distilkit.losses import hard_cross_entropy, soft_cross_entropy
from distilkit.models.batch import TokenBatch, batch_of
from distilkit.models.cat import BertCat, CatOutputs
from distilkit.models.encoder import encoder_inputs
from distilkit.training.objective import Objective
from distilkit.training.step_loader import TrainingSet

SETTING = "fp32, random batches padded to 256, all attention maps and hidden states, loop AdamW, default allocator"


@dataclass
class Original:
    """An objective's student and teacher, trained the original way."""

    objective: Objective
    examples: TrainingSet
    tokens: object
    batch_size: int

    def __post_init__(self) -> None:
        groups = [parameter for parameter in self.objective.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(groups, lr=1e-5, eps=1e-6, weight_decay=0.01, foreach=False, fused=False)
        self._rng = np.random.default_rng(5)

    def seconds_per_token(self) -> float:
        """Take a step on a random batch and return its seconds per token that is not padding."""
        rows = self._rng.choice(len(self.examples), self.batch_size, replace=False)
        start = now()
        batch, labels = self.batch(rows)
        self.losses(batch, labels)["loss"].backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
        return (now() - start) / int(batch.attention_mask.sum())

    def batch(self, rows: Integers) -> tuple[TokenBatch, Tensor]:
        """Return examples padded to the full length, with their labels."""
        queries, passages = self.examples.queries[rows].ravel(), self.examples.passages[rows].ravel()
        columns = self.tokens.batch(queries, passages, pad_to=MAX_LENGTH)  # type: ignore[attr-defined]
        batch = batch_of(columns)
        assert isinstance(batch, TokenBatch)
        return batch, torch.from_numpy(self.examples.labels[rows].ravel())

    def losses(self, batch: TokenBatch, labels: Tensor) -> dict[str, Tensor]:
        """Return every loss, masked as the paper's equations are, and their sum."""
        student, teacher, layers = self.objective.student, self.objective.teacher, self.objective.layers
        projections, mask = self.objective.projections, batch.attention_mask.bool()
        assert layers is not None
        assert projections is not None
        own = internals(student, batch)
        with torch.no_grad():
            theirs = internals(teacher, batch)
        states = projections(own.states)
        targets = [theirs.states[state] for state in layers.states]
        maps = [theirs.attentions[layer] for layer in layers.attention]
        classes = student.class_logits(own.logits)
        pairs = mask[:, None, :, None] & mask[:, None, None, :]
        losses = {
            "attention": mean_squared_errors(own.attentions, maps, pairs),
            "hidden": mean_squared_errors(states[1:], targets[1:], mask[:, :, None]),
            "embedding": mean_squared_errors(states[:1], targets[:1], mask[:, :, None]),
            "soft": soft_cross_entropy(classes, teacher.class_logits(theirs.logits)),
            "hard": hard_cross_entropy(classes, labels),
        }
        weights = {term.name: term.weight for term in self.objective.stage.terms}
        return {**losses, "loss": torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()}


def mean_squared_errors(student: Sequence[Tensor], teacher: Sequence[Tensor], real: Tensor) -> Tensor:
    """Return the sum over tensors of their mean squared errors over what is not padding."""
    total = torch.zeros((), device=real.device)
    for own, taught in zip(student, teacher, strict=True):
        zero = torch.zeros_like(own)
        error = F.mse_loss(torch.where(real, own, zero), torch.where(real, taught, zero), reduction="sum")
        total = total + error / (real.sum() * own.numel() / real.numel())
    return total


def internals(cat: BertCat, batch: TokenBatch) -> CatOutputs:
    """Return a cross-encoder's logits, every map of scores before the softmax and every state."""
    with _attending(cat.config) as maps:
        outputs = cat.model(**encoder_inputs(cat.model, batch), output_hidden_states=True)
    return CatOutputs(outputs.logits, tuple(maps), tuple(outputs.hidden_states))


ATTENTION = "original"
_maps: list[Tensor] = []


@contextmanager
def _attending(config: PretrainedConfig) -> Iterator[list[Tensor]]:
    """Let a model attend the original way, and collect its maps."""
    before, config._attn_implementation = config._attn_implementation, ATTENTION
    _maps.clear()
    try:
        yield _maps
    finally:
        config._attn_implementation = before


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, dropout: float = 0.0, **_: Any
) -> tuple[Tensor, None]:
    scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
    _maps.append(scores)
    probabilities = F.dropout(F.softmax(scores + attention_mask, dim=-1), dropout, module.training)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), None


def _mask(*args: Any, **kwargs: Any) -> Tensor:
    """Return what is added to scores, one row for all queries: 0 for tokens, -10000 for padding."""
    seen = sdpa_mask(*args, **{**kwargs, "allow_is_causal_skip": False, "allow_is_bidirectional_skip": False})
    added: Tensor = (1.0 - seen[:, :, :1].float()) * -10000.0
    return added


AttentionInterface.register(ATTENTION, _attention)
AttentionMaskInterface.register(ATTENTION, _mask)

"""The original way to take a step of Simplified TinyBERT, from the product's models and losses.

Every batch is padded to the full length, every layer of both models leaves its attention map before the softmax and
every hidden state, and AdamW updates one tensor after the other; float32, and the C library's allocator as it is.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import now
from benchmarks.texts import MAX_LENGTH, Integers
from distilkit.losses import attention_mse, embedding_mse, hard_cross_entropy, hidden_mse, soft_cross_entropy
from distilkit.models.batch import TokenBatch, batch_of
from distilkit.training.objective import Objective
from distilkit.training.trainer import TrainingSet

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
        """Take a step on a random batch and return its seconds per token that is no padding."""
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
        projections, mask = self.objective.projections, batch.attention_mask
        assert layers is not None
        assert projections is not None
        own = student.forward_internals(batch, range(student.num_layers), range(student.num_layers + 1))
        with torch.no_grad():
            theirs = teacher.forward_internals(batch, range(teacher.num_layers), range(teacher.num_layers + 1))
        states = projections(own.states)
        targets = [theirs.states[state] for state in layers.states]
        classes = student.class_logits(own.logits)
        losses = {
            "attention": attention_mse(own.attentions, [theirs.attentions[layer] for layer in layers.attention], mask),
            "hidden": hidden_mse(states[1:], targets[1:], mask),
            "embedding": embedding_mse(states[0], targets[0], mask),
            "soft": soft_cross_entropy(classes, teacher.class_logits(theirs.logits)),
            "hard": hard_cross_entropy(classes, labels),
        }
        weights = {term.name: term.weight for term in self.objective.stage.terms}
        return {**losses, "loss": torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()}

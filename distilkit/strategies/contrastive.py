"""Contrastive training on labels: the baseline of bi-encoders and ColBERT, which no teacher takes part in."""

from dataclasses import dataclass
from typing import ClassVar

from distilkit.settings import TrainSettings
from distilkit.strategies.base import STRATEGIES
from distilkit.strategies.list_terms import ContrastiveTerm
from distilkit.strategies.stage import Stage
from distilkit.strategies.terms import STRICT, Positive


@STRATEGIES.register("contrastive")
@dataclass(frozen=True)
class Contrastive:
    """Learn from labels alone: tell each query's positive from its own negatives and the batch's other passages.

    Equation: L = -log(exp(s⁺/T) / Σ exp(s/T)), the mean over the queries (InfoNCE); the sum is over all passages of the
    batch, except those that are the positive of another example of the same query.
    Papers: van den Oord et al. (2018), InfoNCE; Karpukhin et al., Dense Passage Retrieval (2020), in-batch negatives;
    Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (2021), GradCache.
    Deviations: none. The batch is that of one optimiser step: all accumulated batches of all processes. Vectors are
    computed twice, so that memory limits per_device_train_batch_size and not the batch. bert_dot and colbert compare a
    query with the passages of the whole batch; bert_cat, prettr and tk cannot score other queries' passages, and
    compare it with its own negatives only.
    Defaults: temperature 1, which suits dot products; 0.05 is usual where vectors have length one (cosine similarity).
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "DPR; GradCache"

    temperature: Positive = 1.0
    """The temperature that scores are divided by."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        return [Stage("contrastive", (ContrastiveTerm(temperature=self.temperature),), "lists", train, seed)]

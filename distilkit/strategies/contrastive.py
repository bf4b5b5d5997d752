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
    """Learn from labels to tell each query's positive from its mined negatives and all other passages of the batch.

    Equation: L = -log(exp(s⁺/T) / sum over the batch's passages of exp(s/T)), the mean of all queries (InfoNCE).
    Passages that are the positive of another example of the same query are not negatives of it.
    Papers: van den Oord et al. (2018), InfoNCE; Karpukhin et al., Dense Passage Retrieval (2020), in-batch negatives;
    Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (2021), GradCache.
    Deviations: none. The batch is that of the optimiser step: over all accumulated batches and processes, whose vectors
    are computed twice, so that memory bounds per_device_train_batch_size alone. bert_dot and colbert read the batch;
    students that read query and passage together (bert_cat), or whose passages are not scored for all queries (prettr,
    tk), have their own list's negatives alone.
    Defaults: temperature 1, as for dot products; 0.05 is usual for vectors of length one.
    """

    __pydantic_config__ = STRICT
    paper: ClassVar[str] = "DPR; GradCache"

    temperature: Positive = 1.0
    """The temperature that scores are divided by."""

    def stages(self, train: TrainSettings, seed: int) -> list[Stage]:
        """Return the one stage."""
        return [Stage("contrastive", (ContrastiveTerm(temperature=self.temperature),), "lists", train, seed)]

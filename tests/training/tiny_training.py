"""Trainers of tiny models on random tokens, without a collection, a recipe or files other than checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification

from distilkit.data.examples import Lists
from distilkit.data.tokens import PairTokens, Template, TokenStore
from distilkit.models.cat import BertCat
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.projection import Projections
from distilkit.pipeline.reporter import Reporter
from distilkit.settings import TrainSettings
from distilkit.strategies import Stage, parse_strategy
from distilkit.training.objective import Objective
from distilkit.training.processes import Processes
from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

QUERIES, PASSAGES, WAYS, MAX_LENGTH = 12, 30, 3, 24
TEMPLATE = Template(around=((2,), (3,), (3,)), types=(0, 0, 0, 1, 1), pad=0, pad_type=0)

FINE_TUNE = "fine_tune(cross_entropy=0.5, listwise=2.0)"
SIMPLIFIED = (
    "simplified_tinybert(temperature=2.0, weights={attention=0.3, hidden=1.5, embedding=0.7, soft=2.0, hard=0.5})"
)


def random_store(texts: int, longest: int, seed: int) -> TokenStore:
    """Return the tokens of random texts, some of them empty."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, texts)
    tokens = rng.integers(5, 40, lengths.sum()).astype(np.int32)
    return TokenStore(tokens, np.concatenate([[0], np.cumsum(lengths)]), lengths)


def random_tokens() -> PairTokens:
    return PairTokens(random_store(QUERIES, 8, 1), random_store(PASSAGES, 30, 2), TEMPLATE, MAX_LENGTH)


def random_lists(count: int = 16) -> Lists:
    """Return lists of WAYS passages."""
    rng = np.random.default_rng(3)
    passages = np.array([rng.choice(PASSAGES, WAYS, replace=False) for _ in range(count)])
    return Lists(rng.integers(0, QUERIES, count), passages)


def tiny_bert(layers: int, hidden: int, seed: int, dropout: float = 0.0, labels: int = 1) -> BertCat:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=40,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=MAX_LENGTH,
        num_labels=labels,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        # Large weights, so that the losses depend on more than the biases.
        initializer_range=0.2,
    )
    return BertCat(BertForSequenceClassification(config))


def stage_of(strategy: str, seed: int = 1, **train: Any) -> Stage:
    """Return the one stage of a strategy."""
    settings = {"learning_rate": 1e-3, "per_device_train_batch_size": 8, "logging_steps": 1, "bf16": False} | train
    (stage,) = parse_strategy(strategy).stages(TrainSettings(**settings), seed)
    return stage


def objective_of(stage: Stage, dropout: float = 0.0, labels: int = 1) -> Objective:
    """Return a two-layer student of a stage, with a four-layer teacher where the stage has one."""
    student = tiny_bert(2, 8, stage.seed, dropout, labels).train()
    if not stage.uses_teacher:
        return Objective(stage, student, None, None, None)
    teacher = tiny_bert(4, 16, 7, labels=labels).eval().requires_grad_(False)
    torch.manual_seed(stage.seed)
    return Objective(stage, student, teacher, Projections(8, 16, 3), uniform_layer_map(4, 2))


class Recorder(Reporter):
    """A reporter that says nothing and keeps the events, and that may ask for a stop at a step."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.events: list[tuple[str, int, dict[str, float]]] = []
        self.stop_at: int | None = None
        self.on_event: Callable[[], object] = lambda: None

    def event(self, kind: str, stage: str, step: int, values: dict[str, Any]) -> None:
        self.events.append((kind, step, values))
        self.on_event()

    def stop_requested(self) -> bool:
        return self.stop_at is not None and bool(self.events) and self.events[-1][1] >= self.stop_at

    def of(self, kind: str) -> dict[int, dict[str, float]]:
        """Return the values of one kind of event by step."""
        return {step: values for found, step, values in self.events if found == kind}


def trainer_of(
    stage: Stage,
    folder: Path,
    objective: Objective | None = None,
    validate: Callable[[BertCat], dict[str, float]] | None = None,
    precision: Any = "fp32",
) -> Trainer:
    """Return a trainer whose reporter records."""
    return Trainer(
        stage=stage,
        objective=objective or objective_of(stage),
        examples=TrainingSet.of_lists(random_lists(), stage.examples),
        tokens=random_tokens(),
        precision=precision,
        processes=Processes(),
        reporter=Recorder(),
        checkpoints=folder,
        validate=validate or (lambda ranker: {"nDCG@10": 0.0}),
        metric="nDCG@10",
        label=stage.name,
    )


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.objective.named_parameters()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Compare weights bit by bit."""
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different

"""Trains losses of the whole batch on as many processes as were launched, and saves losses and weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from test_grouped_sides import TOKENS
from tiny_training import PASSAGES, QUERIES, random_lists, stage_of, tiny_bert, trainer_of, weights_of

from distilkit.data.topics import QueryTopics, TopicGroups
from distilkit.models.colbert import ColBert, ColBertOptions
from distilkit.models.dot import BertDot, DotOptions
from distilkit.training.in_batch import InBatchTeacher
from distilkit.training.objective import Objective
from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

# The last batch of contrastive's epoch has one list, which two processes cannot share.
LISTS, BATCH, STEPS = 13, 6, 6
STRATEGIES = {"contrastive": "contrastive(temperature=0.5)", "tas_balanced": "tas_balanced(bins=3, in_batch=0.5)"}


def examples(name: str) -> TrainingSet:
    """Return lists, or triples with a teacher's scores in three clusters of queries."""
    if name == "contrastive":
        return TrainingSet.of_lists(random_lists(LISTS), "lists")
    rng = np.random.default_rng(4)
    queries = np.repeat(np.arange(QUERIES), 4)[:, None].repeat(2, axis=1)
    passages = np.array([rng.choice(PASSAGES, 2, replace=False) for _ in queries])
    targets = rng.normal(size=passages.shape).astype(np.float32)
    topics = QueryTopics(np.arange(QUERIES), np.arange(QUERIES) % 3, np.arange(3.0)[:, None])
    groups = TopicGroups.of(queries[:, 0], targets[:, 0] - targets[:, 1], 3, topics)
    return TrainingSet(queries, passages, np.tile([1, 0], (len(queries), 1)), targets, groups)


def in_batch_teacher() -> InBatchTeacher:
    """Return a frozen ColBERT of random weights."""
    ranker = ColBert(tiny_bert(2, 8, 9).encoder, ColBertOptions("papers", dim=4)).eval().requires_grad_(False)
    return InBatchTeacher(ranker, TOKENS, 4)


def objective(name: str, stage: Any) -> Objective:
    """Return a tiny bi-encoder in training, with an in-batch teacher where the stage asks for one."""
    made = Objective(stage, BertDot(tiny_bert(2, 8, 5).encoder, DotOptions()).train(), None, None, None)
    if stage.in_batch_teacher is not None:
        made.in_batch_teacher = in_batch_teacher()
    return made


def trainer(name: str, folder: Path, processes: int = 1, size: int = BATCH, **train: Any) -> Trainer:
    """Return the trainer of one of the processes, whose micro-batches have `size` examples over all of them."""
    # With so large an epsilon Adam follows the gradient, not its sign alone.
    settings = {"learning_rate": 0.1, "adam_epsilon": 1.0, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}
    cut = {"per_device_train_batch_size": size // processes, "gradient_accumulation_steps": BATCH // size}
    stage = stage_of(STRATEGIES[name], **{"max_steps": STEPS, **settings, **cut, **train})
    made = trainer_of(stage, folder, objective(name, stage))
    return replace(made, examples=examples(name), tokens=TOKENS)


def losses(made: Trainer) -> list[dict[str, float]]:
    """Return the losses of every step."""
    return list(made.reporter.of("train").values())  # type: ignore[attr-defined]


def main(folder: Path) -> None:
    """Train by each strategy, and let the main process write."""
    for name in STRATEGIES:
        made = trainer(name, folder / name / "checkpoints", 2)
        made.train()
        if made.processes.is_main:
            (folder / name).mkdir(exist_ok=True)
            save_file(weights_of(made), folder / name / "weights.safetensors")
            (folder / name / "losses.json").write_text(json.dumps(losses(made)))
    torch.distributed.destroy_process_group()

"""Every loss term alone, from the recipe through the trainer: its value is that of its loss on whole lists."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import test_masked_words as masked
import test_next_text as next_text
import torch
from tiny_training import (
    MAX_LENGTH,
    WAYS,
    Recorder,
    random_lists,
    stage_of,
    trainer_of,
)
from tiny_training import objective_of as objective_of_pairs
from torch import Tensor
from torch.nn import functional as F

from distilkit import losses
from distilkit.models.batch import TokenBatch
from distilkit.problems import to_toml
from distilkit.strategies import TERMS, Stage
from distilkit.training.objective import Objective
from distilkit.training.step_loader import TrainingSet
from distilkit.training.trainer import Trainer

STEPS = 12
WEIGHT = 3.0

Given = SimpleNamespace
Compute = Callable[..., Tensor]


def on_sides(loss: Compute) -> Compute:
    """Return a loss of positives and negatives as one of the outputs of student and teacher."""
    return lambda student, teacher, labels, mask, **options: loss(*student.sides, *teacher.sides, **options)


def on_lists(loss: Compute) -> Compute:
    return lambda student, teacher, labels, mask, **options: loss(student.lists, teacher.lists, **options)


# Each term from its loss function, on what student and teacher give for all examples as one padded batch.
BY_HAND: dict[str, Compute] = {
    "hard": lambda student, teacher, labels, mask: losses.hard_cross_entropy(student.classes, labels),
    "next_text": lambda student, teacher, labels, mask: F.binary_cross_entropy_with_logits(
        student.classes[:, 1] - student.classes[:, 0], labels.float()
    ),
    "list": lambda student, teacher, labels, mask: losses.list_cross_entropy(student.lists),
    "ranknet": lambda student, teacher, labels, mask: losses.ranknet(*student.sides),
    "soft": lambda student, teacher, labels, mask, **options: losses.soft_loss(
        student.classes, teacher.classes, **options
    ),
    "margin_mse": on_sides(losses.margin_mse),
    "pointwise_mse": on_sides(losses.pointwise_mse),
    "weighted_ranknet": on_sides(losses.weighted_ranknet),
    "kl_divergence": on_lists(losses.kl_divergence),
    "list_net": on_lists(losses.list_net),
    "list_mle": on_lists(losses.list_mle),
    "lambda_rank": on_lists(losses.lambda_rank),
    "adr_mse": on_lists(losses.adr_mse),
    "contrastive": lambda student, teacher, labels, mask, **options: losses.info_nce(student.lists, **options),
    "list_ranknet": on_lists(losses.list_ranknet),
    "attention": lambda student, teacher, labels, mask, **options: losses.attention_mse(
        student.attentions, teacher.attentions, mask, **options
    ),
    "hidden": lambda student, teacher, labels, mask, **options: losses.hidden_mse(
        student.states[1:], teacher.states[1:], mask, **options
    ),
    "embedding": lambda student, teacher, labels, mask, **options: losses.embedding_mse(
        student.states[0], teacher.states[0], mask, **options
    ),
    "relation": lambda student, teacher, labels, mask, relation_heads=None, teacher_layer=None: losses.relation_kl(
        student.vectors[-1], teacher.vectors[(teacher_layer or 0) - 1], mask, relation_heads
    ),
    "masked_lm": lambda student, teacher, labels, mask, **options: losses.soft_loss(
        student.words, teacher.words, **options
    ),
}
# Losses that are the same the other way round: nothing tells whose outputs came first.
SYMMETRIC = ("margin_mse", "pointwise_mse", "attention", "hidden", "embedding")
OTHER_VALUES: dict[str, list[dict[str, Any]]] = {
    "kind": [{"kind": "kl"}, {"kind": "logit_mse"}],
    "temperature": [{"temperature": 2.0}],
    "reduction": [{"reduction": "mean"}],
    "t_squared": [{"t_squared": True, "temperature": 2.0}],
    "variant": [{"variant": "released_code"}],
    "student_temperature": [{"student_temperature": 2.0}],
    "teacher_temperature": [{"teacher_temperature": 0.5}],
    "sigma": [{"sigma": 2.0}],
    "relation_heads": [{"relation_heads": 4}],
    "teacher_layer": [{"teacher_layer": 2}],
    "discount": [{"discount": "none"}],
}
# Of a list by itself it is 0: `test_tas_balanced` trains it on whole batches.
OF_BATCHES = "in_batch_margin_mse"
ALONE = [name for name in TERMS if name != OF_BATCHES]
CASES = [(name, {}) for name in ALONE] + [
    (name, options) for name in ALONE for key in TERMS[name]().options for options in OTHER_VALUES[key]
]


@dataclass
class Training:
    """A trainer of one loss, and what its models give before the first step, computed without it."""

    trainer: Trainer
    student: Given
    teacher: Given
    labels: Tensor
    mask: Tensor

    def by_hand(self, name: str, options: dict[str, Any], swapped: bool = False) -> float:
        sides = (self.teacher, self.student) if swapped else (self.student, self.teacher)
        return float(BY_HAND[name](*sides, self.labels, self.mask, **options).detach())


def stage(name: str, options: dict[str, Any]) -> Stage:
    """Return the stage that a recipe's list of this one loss gives, with all examples in each step."""
    table = {"name": name, "weight": WEIGHT, **options}
    train = {"max_steps": STEPS, "learning_rate": 1e-2, "lr_scheduler_type": "constant", "warmup_ratio": 0.0}
    return stage_of(f"distil(losses={to_toml([table])})", **train, per_device_train_batch_size=96)


def spread(objective: Objective) -> Objective:
    """Draw the scores of both models apart, as far as those of trained rankers are."""
    for model, factor in ((objective.student, 10.0), (objective.teacher, 40.0)):
        if model is not None:
            model.model.classifier.weight.data.mul_(factor)
    return objective


def outputs(model: Any, tokens: TokenBatch, layers: tuple[int, ...], states: tuple[int, ...], ways: int) -> Given:
    """Return a model's scores, in the forms that losses read, and its attention scores and states."""
    found = model.forward_internals(tokens, layers, states, vectors_of=range(model.num_layers))
    scores = (found.logits[:, 0] if found.logits.shape[1] == 1 else found.logits[:, 1] - found.logits[:, 0]).detach()
    lists = scores.view(-1, ways)
    sides = [one.reshape(-1) for one in (lists[:, :1].expand_as(lists[:, 1:]), lists[:, 1:])]
    classes = torch.stack([torch.zeros_like(scores), scores], dim=1)
    internals = {"attentions": found.attentions, "states": found.states, "vectors": found.vectors}
    return Given(classes=classes, lists=lists, sides=sides, **internals)


def on_pairs(name: str, options: dict[str, Any], folder: Path) -> Training:
    """Return the training of a loss of pairs, triples, lists or consecutive texts."""
    one = stage(name, options)
    objective = spread(objective_of_pairs(one))
    trainer = trainer_of(one, folder, objective)
    if name == "next_text":
        trainer = replace(trainer, examples=next_text.EXAMPLES, tokens=next_text.TOKENS)
    examples, padding = trainer.examples, {"pad_to": MAX_LENGTH} if options.get("variant") == "released_code" else {}
    columns = trainer.tokens.batch(examples.queries.ravel(), examples.passages.ravel(), **padding)
    tokens = TokenBatch(**{key: torch.from_numpy(value) for key, value in columns.items()})
    student = outputs(objective.student, tokens, (0, 1), (0, 1, 2), examples.ways)
    teacher = (
        student if objective.teacher is None else outputs(objective.teacher, tokens, (1, 3), (0, 2, 4), examples.ways)
    )
    if objective.projections is not None:
        student.states = objective.projections(student.states)
    return Training(trainer, student, teacher, torch.from_numpy(examples.labels.ravel()), tokens.attention_mask)


def on_text(name: str, options: dict[str, Any], folder: Path) -> Training:
    """Return the training of a loss of masked words."""
    one = stage(name, options)
    objective, rows = masked.objective_of(one), np.arange(masked.TEXTS)
    trainer = replace(
        trainer_of(one, folder, objective), examples=TrainingSet.of_texts(masked.TOKENS.continues), tokens=masked.TOKENS
    )
    bucket = masked.batch_of(rows)
    assert isinstance(bucket.tokens, TokenBatch)
    assert bucket.chosen is not None
    sides = []
    for model, head in ((objective.student, objective.lm_head), (objective.teacher, objective._teacher_lm_head[0])):
        last = model.forward_internals(bucket.tokens, (), (model.num_layers,)).states[0]
        sides.append(Given(words=head(last[bucket.chosen.bool()], model.encoder.get_input_embeddings().weight)))
    return Training(trainer, *sides, bucket.labels, bucket.tokens.attention_mask)


def training_of(name: str, options: dict[str, Any], folder: Path) -> Training:
    return (on_text if name == "masked_lm" else on_pairs)(name, options, folder)


def trained(trainer: Trainer) -> dict[int, dict[str, float]]:
    trainer.train()
    assert isinstance(trainer.reporter, Recorder)
    return trainer.reporter.of("train")


def test_every_term_is_here() -> None:
    assert list(BY_HAND) == sorted(ALONE, key=list(BY_HAND).index)
    assert {key for name in ALONE for key in TERMS[name]().options} == set(OTHER_VALUES)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_term_is_trained_alone(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    made = training_of(name, options, tmp_path)
    expected = made.by_hand(name, options)
    values = trained(made.trainer)
    assert values[1][name] == pytest.approx(expected, rel=2e-5, abs=1e-6)
    assert values[1]["loss"] == pytest.approx(WEIGHT * expected, rel=2e-5, abs=1e-6)
    assert values[STEPS]["loss"] < values[1]["loss"]
    # What would be wrong with it shows: an option that is not read, or the two models in each other's place.
    fewer = {key: value for key, value in options.items() if key == "temperature" and len(options) > 1}
    if options:
        other = training_of(name, fewer, tmp_path / "other")
        assert other.by_hand(name, fewer) != pytest.approx(expected, rel=1e-4)
    if TERMS[name].uses_teacher and name not in SYMMETRIC and options.get("kind") != "logit_mse":
        assert made.by_hand(name, options, swapped=True) != pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in TERMS if TERMS[name]().scores_suffice])
def test_scores_computed_ahead_teach_the_same(name: str, tmp_path: Path) -> None:
    made = training_of(name, {}, tmp_path / "online")
    given = made.trainer.examples
    targets = made.teacher.lists.numpy().astype(np.float32)
    examples = TrainingSet(given.queries, given.passages, given.labels, targets)
    student = spread(objective_of_pairs(made.trainer.stage)).student
    alone = Objective(made.trainer.stage, student, None, None, None)
    ahead = replace(made.trainer, objective=alone, examples=examples, checkpoints=tmp_path, reporter=Recorder())
    found, expected = trained(ahead), trained(made.trainer)
    for step in (1, STEPS):
        assert found[step]["loss"] == pytest.approx(expected[step]["loss"], rel=1e-3)


def test_a_list_is_that_of_one_query() -> None:
    """Lists that were not formed would be of one passage, or of the passages of several queries."""
    for name in ("list", "kl_divergence"):
        examples = TrainingSet.of_lists(random_lists(), stage(name, {}).examples)
        assert examples.ways == WAYS
        assert all(len(set(row)) == 1 for row in examples.queries.tolist())
        assert examples.labels.tolist() == [[1, 0, 0]] * len(examples)

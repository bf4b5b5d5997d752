"""The loss of masked words: as written down by hand, and the same however a batch is cut."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import Recorder, random_store, tiny_bert, trainer_of, weights_of
from torch import Tensor
from torch.nn import functional as F

from distilkit.data.batches import length_buckets
from distilkit.data.plain_text import Masking, TextTokens
from distilkit.data.tokens import Template
from distilkit.models.batch import TokenBatch
from distilkit.models.layer_map import uniform_layer_map
from distilkit.models.masked_lm import new_lm_head
from distilkit.models.projection import Projections
from distilkit.settings import TrainSettings
from distilkit.strategies import Stage, parse_strategy
from distilkit.strategies.term_inputs import Counts
from distilkit.training import step_loader
from distilkit.training.objective import LmHeads, Objective
from distilkit.training.step_loader import LengthBucket, TrainingSet
from distilkit.training.trainer import Trainer

TEXTS = 12
MASKING = Masking("bert", 5, 4, np.arange(5, 40))
TEMPLATE = Template(around=((2,), (3,)), types=(0, 0, 0), pad=0, pad_type=0)
TOKENS = TextTokens(random_store(TEXTS, 22, 3), TEMPLATE, 24, MASKING)
STRATEGY = "lm_distill_fine_tune(weights={attention=0.2, hidden=0.5, embedding=1.5, masked_lm=3.0})"


def general(strategy: str = STRATEGY, **train: Any) -> Stage:
    settings = {"learning_rate": 1e-3, "per_device_train_batch_size": TEXTS, "logging_steps": 1, "bf16": False} | train
    return parse_strategy(strategy).stages(TrainSettings(**settings), 1)[0]


def objective_of(stage: Stage) -> Objective:
    """Return a student and a teacher with heads for words, in evaluation mode."""
    torch.manual_seed(1)
    student, teacher = tiny_bert(2, 8, 1), tiny_bert(4, 16, 7).eval().requires_grad_(False)
    heads = LmHeads(new_lm_head(student.config), new_lm_head(teacher.config).requires_grad_(False))
    with torch.no_grad():
        for parameter in [*heads.student.parameters(), *heads.teacher.parameters()]:
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Objective(stage, student.eval(), teacher, Projections(8, 16, 3), uniform_layer_map(4, 2), heads)


def batch_of(rows: np.ndarray, first: int = 0) -> LengthBucket:
    columns = {name: torch.from_numpy(value) for name, value in TOKENS.batch(rows, rows).items()}
    chosen = columns.pop("chosen")
    return LengthBucket(
        TokenBatch(**columns), torch.zeros(len(rows), dtype=torch.long), torch.from_numpy(rows - first), None, chosen
    )


def counts() -> Counts:
    rows = np.arange(TEXTS)
    lengths = TOKENS.lengths(rows, rows)
    return Counts(TEXTS, TEXTS, int(lengths.sum()), int((lengths**2).sum()), int(TOKENS.chosen_counts(rows).sum()))


def whole_and_by_hand() -> tuple[dict[str, Tensor], Tensor]:
    objective, rows = objective_of(general()), np.arange(TEXTS)
    losses = objective([batch_of(rows)], 1, counts())

    def words(model: Any, head: Any) -> Tensor:
        """Return log-probabilities of words at every token that is to be predicted, text by text."""
        found = []
        for row in rows:
            columns = TOKENS.batch(np.array([row]), np.array([row]))
            ids, types = torch.from_numpy(columns["input_ids"]), torch.from_numpy(columns["token_type_ids"])
            state = model.encoder(input_ids=ids, token_type_ids=types).last_hidden_state[0]
            for place in np.flatnonzero(columns["chosen"][0]):
                hidden = head.norm(F.gelu(head.dense(state[place])))
                logits = model.encoder.embeddings.word_embeddings.weight @ hidden + head.bias
                found.append(F.log_softmax(logits, dim=-1))
        return torch.stack(found)

    student = words(objective.student, objective.lm_head)
    with torch.no_grad():
        teacher = words(objective.teacher, objective._teacher_lm_head[0])
    return losses, -(teacher.exp() * student).sum(dim=-1).mean()


def test_the_loss_is_the_cross_entropy_at_masked_words() -> None:
    losses, expected = whole_and_by_hand()
    assert losses["masked_lm"].item() == pytest.approx(expected.item(), rel=1e-5)
    weights = {"attention": 0.2, "hidden": 0.5, "embedding": 1.5, "masked_lm": 3.0}
    total = sum(weight * losses[name].item() for name, weight in weights.items())
    assert losses["loss"].item() == pytest.approx(total, rel=1e-6)
    assert set(losses) == {"loss", *weights}


def test_every_chosen_word_counts_once() -> None:
    rows = np.arange(TEXTS)
    chosen = TOKENS.batch(rows, rows)["chosen"].sum(axis=1)
    assert chosen.tolist() == TOKENS.chosen_counts(rows).tolist()
    assert 0 in chosen.tolist()  # a text of no words
    assert chosen.max() > 1


@pytest.mark.parametrize("cut", ["sorted", "accumulated"])
def test_a_batch_may_be_cut_up(cut: str) -> None:
    def gradients(parts: list[list[np.ndarray]]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        objective = objective_of(general()).double()
        for module in (objective.teacher, objective._teacher_lm_head[0]):
            module.double()
        sums: dict[str, Tensor] = {}
        for part in parts:
            losses = objective([batch_of(rows, int(min(map(min, part)))) for rows in part], 1, counts())
            losses["loss"].backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros(())) + value.detach()
        return sums, {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}

    rows = np.arange(TEXTS)
    parts = {
        "sorted": [length_buckets(TOKENS.lengths(rows, rows), pass_cost=1)],
        "accumulated": [[part] for part in np.array_split(rows, 3)],
    }[cut]
    assert sum(len(part) for part in parts) > 1
    whole = gradients([[rows]])
    torch.testing.assert_close(gradients(parts), whole, rtol=1e-9, atol=1e-12)
    assert {"lm_head.dense.weight", "projections.fit_dense.weight"} <= set(whole[1])


def trainer(folder: Path, **train: Any) -> Trainer:
    stage = general(max_steps=3, **train)
    made = trainer_of(stage, folder, objective_of(stage))
    # Everything of a trainer but its texts, which stand in the place of pairs.
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Trainer(**{**fields, "examples": TrainingSet.of_texts(TOKENS.continues), "tokens": TOKENS})


def test_the_trainer_reads_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(name: str, **train: Any) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
        made = trainer(tmp_path / name, adam_epsilon=10.0, learning_rate=0.5, lr_scheduler_type="constant", **train)
        made.objective.student.train()  # without dropout, which there is none of
        made.train()
        assert isinstance(made.reporter, Recorder)
        return list(made.reporter.of("train").values()), weights_of(made)

    whole = trained("whole")
    assert all(values["masked_lm"] > 0 for values in whole[0])
    for name, train in {
        "accumulated": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 3},
        "cut": {},
    }.items():
        if name == "cut":
            monkeypatch.setattr(step_loader, "length_buckets", lambda lengths: length_buckets(lengths, 1))
        torch.testing.assert_close(trained(name, **train), whole, rtol=2e-4, atol=1e-6)


def test_nothing_is_validated_on_text(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_steps=1, eval_examples=(1, 2))
    made.validate = lambda ranker: pytest.fail("validated")
    state = made.train()
    assert (state.best_step, state.validation, state.curve) == (0, None, [])


def test_without_the_loss_words_are_left_as_they_are() -> None:
    stage = general("lm_distill_fine_tune(weights={masked_lm=0.0})")
    objective = objective_of(general())
    alone = Objective(stage, objective.student, objective.teacher, objective.projections, objective.layers)
    losses = alone([replace(batch_of(np.arange(TEXTS)), chosen=None)], 1, counts())
    assert set(losses) == {"loss", "attention", "hidden", "embedding"}

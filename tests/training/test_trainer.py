"""The trainer: what a step does, which weights a training ends with, and that a seed gives one result."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_training import (
    FINE_TUNE,
    SIMPLIFIED,
    Recorder,
    assert_equal,
    objective_of,
    random_lists,
    stage_of,
    trainer_of,
    weights_of,
)

from distilkit.data.tokens import PairTokens
from distilkit.errors import RunFailed, Stopped
from distilkit.losses import attention_mse, embedding_mse, hard_cross_entropy, hidden_mse, soft_cross_entropy
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat
from distilkit.progress import OneProcess
from distilkit.settings import TrainSettings
from distilkit.strategies import parse_strategy
from distilkit.training import step_loader
from distilkit.training.optimizer import learning_rate_factor, warmup_steps
from distilkit.training.step_loader import TrainingSet

RELEASED = 'simplified_tinybert(variant="released_code")'
CPU = torch.device("cpu")


def recorder(trainer: Any) -> Recorder:
    assert isinstance(trainer.reporter, Recorder)
    return trainer.reporter


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE, RELEASED])
def test_a_step_is_the_same_however_its_batch_is_cut(
    tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_step(name: str, per_device: int, accumulation: int) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        # With so large an epsilon Adam's first step follows the gradient, not its sign alone.
        stage = stage_of(
            strategy,
            max_steps=1,
            per_device_train_batch_size=per_device,
            gradient_accumulation_steps=accumulation,
            lr_scheduler_type="constant",
            learning_rate=1.0,
            adam_epsilon=1.0,
            max_grad_norm=0.0,
        )
        trainer = trainer_of(stage, tmp_path / name)
        trainer.train()
        return recorder(trainer).of("train")[1], weights_of(trainer)

    expected = one_step("8x1", 8, 1)
    for name, per_device, accumulation in [("4x2", 4, 2), ("2x4", 2, 4), ("1x8", 1, 8)]:
        torch.testing.assert_close(one_step(name, per_device, accumulation), expected, rtol=1e-5, atol=2e-6)
    for cost in (10**6, 0):
        monkeypatch.setattr(step_loader, "length_buckets", lambda lengths, cost=cost: _length_buckets(lengths, cost))
        torch.testing.assert_close(one_step(f"cost{cost}", 8, 1), expected, rtol=1e-5, atol=2e-6)


_length_buckets = step_loader.length_buckets


def test_a_step_has_the_losses_of_its_whole_batch(tmp_path: Path) -> None:
    stage = stage_of(SIMPLIFIED, max_steps=1, per_device_train_batch_size=12, gradient_accumulation_steps=4)
    trainer = trainer_of(stage, tmp_path)
    found = trainer.examples
    assert len(found) == 48  # all of them
    columns = trainer.tokens.batch(found.queries.ravel(), found.passages.ravel())
    tokens = TokenBatch(**{name: torch.from_numpy(value) for name, value in columns.items()})
    with torch.no_grad():
        own = trainer.objective.student.forward_internals(tokens, (0, 1), (0, 1, 2))
        theirs = trainer.objective._teacher[0].forward_internals(tokens, (1, 3), (0, 2, 4))
        assert trainer.objective.projections is not None
        states = trainer.objective.projections(own.states)
    mask, labels = tokens.attention_mask, torch.from_numpy(found.labels.ravel())
    classes, targets = (torch.cat([torch.zeros_like(one.logits), one.logits], 1) for one in (own, theirs))
    expected = {
        "attention": attention_mse(own.attentions, theirs.attentions, mask),
        "hidden": hidden_mse(states[1:], theirs.states[1:], mask),
        "embedding": embedding_mse(states[0], theirs.states[0], mask),
        "soft": soft_cross_entropy(classes, targets, temperature=2.0),
        "hard": hard_cross_entropy(classes, labels),
    }
    trainer.train()
    values = recorder(trainer).of("train")[1]
    for name, value in expected.items():
        assert values[name] == pytest.approx(value.item(), rel=1e-5), name


def test_an_epoch_sees_every_pair_once_and_the_next_one_in_another_order(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(SIMPLIFIED, num_train_epochs=2.0, per_device_train_batch_size=7), tmp_path)
    steps: list[list[tuple[int, int]]] = [[]]

    class Spy(PairTokens):
        def batch(self, queries: Any, passages: Any, pad_to: int | None = None) -> Any:
            steps[-1] += zip(queries.tolist(), passages.tolist(), strict=True)
            return super().batch(queries, passages, pad_to)

    trainer = replace(trainer, tokens=Spy(**vars(trainer.tokens)))
    recorder(trainer).on_event = lambda: steps.append([])
    trainer.train()
    steps = [step for step in steps if step]
    assert [len(step) for step in steps].count(7) == 12
    first, second = ([sorted(step) for step in half] for half in (steps[:7], steps[7:]))
    everything = sorted(zip(trainer.examples.queries.ravel(), trainer.examples.passages.ravel(), strict=True))
    assert sorted(chain(*first)) == sorted(chain(*second)) == everything
    assert first != second


@pytest.mark.parametrize(("strategy", "dropout"), [(SIMPLIFIED, 0.1), (FINE_TUNE, 0.1), (SIMPLIFIED, 0.0)])
def test_events_hold_unweighted_terms_whose_weighted_sum_is_the_loss(
    tmp_path: Path, strategy: str, dropout: float
) -> None:
    stage = stage_of(strategy, max_steps=5)
    trainer = trainer_of(stage, tmp_path, objective_of(stage, dropout))
    trainer.train()
    events = recorder(trainer).of("train")
    assert list(events) == [1, 2, 3, 4, 5]
    for values in events.values():
        assert values["loss"] == pytest.approx(sum(term.weight * values[term.name] for term in stage.terms), rel=1e-5)
        figures = (
            {"positive_score", "negative_score", "margin", "pairwise_accuracy"} if stage.examples == "lists" else set()
        )
        assert set(values) == {"loss", "learning_rate", *(term.name for term in stage.terms), *figures}


def test_the_loss_goes_down(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(SIMPLIFIED, num_train_epochs=10.0, learning_rate=3e-3), tmp_path)
    trainer.train()
    losses = [values["loss"] for values in recorder(trainer).of("train").values()]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant", "constant_with_warmup"])
def test_each_step_has_its_learning_rate(tmp_path: Path, kind: str) -> None:
    stage = stage_of(FINE_TUNE, max_steps=7, lr_scheduler_type=kind, warmup_ratio=0.3)
    trainer = trainer_of(stage, tmp_path)
    trainer.train()
    rates = [values["learning_rate"] for values in recorder(trainer).of("train").values()]
    warmup = warmup_steps(0.3, 7)
    assert rates == [1e-3 * learning_rate_factor(kind, step, warmup, 7) for step in range(7)]


def test_the_first_step_of_a_warm_up_changes_nothing(tmp_path: Path) -> None:
    stage = stage_of(FINE_TUNE, max_steps=1, warmup_ratio=1.0)
    trainer = trainer_of(stage, tmp_path)
    before = weights_of(trainer)
    trainer.train()
    assert_equal(weights_of(trainer), before)


def test_biases_and_layer_norms_do_not_decay(tmp_path: Path) -> None:
    def trained(weight_decay: float) -> dict[str, torch.Tensor]:
        stage = stage_of(
            SIMPLIFIED, max_steps=1, lr_scheduler_type="constant", learning_rate=0.1, weight_decay=weight_decay
        )
        trainer = trainer_of(stage, tmp_path / str(weight_decay))
        trainer.train()
        return weights_of(trainer)

    plain, decayed = trained(0.0), trained(0.5)
    spared = {name for name in plain if torch.equal(plain[name], decayed[name])}
    # A key's bias has no gradient, and no parameter's name but these says that it is a vector.
    assert spared == {name for name in plain if name.endswith(".bias") or "LayerNorm" in name}


def test_frozen_embeddings_stay_as_they_start(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(SIMPLIFIED, max_steps=4, freeze_embeddings=True, weight_decay=0.1), tmp_path)
    before = weights_of(trainer)
    trainer.train()
    after = weights_of(trainer)
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if ".embeddings." in name}


class Validation:
    """Measures that are given, and the weights that each was given for."""

    def __init__(self, values: list[float]) -> None:
        self.values, self.seen = values, []

    def __call__(self, ranker: BertCat) -> dict[str, float]:
        self.seen.append({f"student.{name}": value.detach().clone() for name, value in ranker.named_parameters()})
        return {"nDCG@10": self.values[len(self.seen) - 1], "RR@10": float(len(self.seen))}


def test_the_best_checkpoint_is_what_a_training_ends_with(tmp_path: Path) -> None:
    validation = Validation([0.1, 0.4, 0.4, 0.2])
    trainer = trainer_of(stage_of(FINE_TUNE, max_steps=7, eval_steps=2), tmp_path, validate=validation)
    state = trainer.train()
    assert list(recorder(trainer).of("validation")) == [2, 4, 6, 7]
    assert (state.best_step, state.best_value) == (4, 0.4)
    assert state.validation == {"nDCG@10": 0.4, "RR@10": 2.0}
    assert_equal(weights_of(trainer), validation.seen[1])
    assert not torch.equal(
        validation.seen[1]["student.model.classifier.weight"], validation.seen[2]["student.model.classifier.weight"]
    )


def test_without_eval_steps_the_last_weights_stay(tmp_path: Path) -> None:
    validation = Validation([0.3])
    trainer = trainer_of(stage_of(FINE_TUNE, max_steps=3), tmp_path, validate=validation)
    state = trainer.train()
    assert_equal(weights_of(trainer), validation.seen[0])
    assert (state.step, state.best_step, state.validation) == (3, 0, {"nDCG@10": 0.3, "RR@10": 1.0})


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_seed_gives_one_result(tmp_path: Path, strategy: str, dropout: float) -> None:
    def trained(name: str, seed: int) -> dict[str, torch.Tensor]:
        stage = stage_of(strategy, seed, max_steps=6)
        trainer = trainer_of(stage, tmp_path / name, objective_of(stage, dropout))
        torch.manual_seed(len(name))  # what was drawn before a training does not count
        trainer.train()
        return weights_of(trainer)

    one = trained("one", 1)
    assert_equal(trained("another", 1), one)
    other = trained("other seed", 2)
    assert not torch.equal(other["student.model.classifier.weight"], one["student.model.classifier.weight"])


def test_the_seed_draws_dropout_and_order_too(tmp_path: Path) -> None:
    def trained(name: str, seed: int, dropout: float) -> dict[str, torch.Tensor]:
        objective = objective_of(stage_of(FINE_TUNE, 1), dropout)  # the same weights at the start
        trainer = trainer_of(stage_of(FINE_TUNE, seed, max_steps=2, learning_rate=0.1), tmp_path / name, objective)
        trainer.train()
        return weights_of(trainer)

    results = [trained("a", 1, 0.0), trained("b", 2, 0.0), trained("c", 1, 0.3)]
    heads = {tuple(weights["student.model.classifier.weight"].ravel().tolist()) for weights in results}
    assert len(heads) == 3


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
@pytest.mark.parametrize("eval_steps", [None, 2])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(
    tmp_path: Path, strategy: str, eval_steps: int | None
) -> None:
    stage = stage_of(strategy, max_steps=9, eval_steps=eval_steps)

    def trainer(name: str) -> Any:
        # A measure of the weights themselves, so that it is the same wherever a training was taken up.
        return trainer_of(stage, tmp_path / name, objective_of(stage, 0.2), validate=_first_bias)

    whole = trainer("whole")
    whole_state = whole.train()
    for stop in (1, 5, 8):
        first = trainer(f"stop{stop}")
        first.reporter.stop_at = stop
        with pytest.raises(Stopped):
            first.train()
        again = trainer(f"stop{stop}")
        state = again.train()
        assert list(again.reporter.of("train")) == list(range(stop + 1, 10))
        assert {step: again.reporter.of("train")[step] for step in range(stop + 1, 10)} == {
            step: values for step, values in whole.reporter.of("train").items() if step > stop
        }
        assert (state.best_step, state.best_value) == (whole_state.best_step, whole_state.best_value)
        assert_equal(weights_of(again), weights_of(whole))


def _first_bias(ranker: BertCat) -> dict[str, float]:
    return {"nDCG@10": float(next(p for p in ranker.parameters() if p.ndim == 1).detach().abs().sum())}


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(FINE_TUNE, max_steps=7, save_steps=2), tmp_path)
    trainer.train()
    assert list(recorder(trainer).of("checkpoint")) == [2, 4, 6]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    found = sorted(path.name for path in (tmp_path / "checkpoint-6").iterdir())
    assert found == ["manifest.json", "optimizer.safetensors", "trainer_state.json", "weights.safetensors"]


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    stage = stage_of(SIMPLIFIED, max_steps=6, save_steps=1, lr_scheduler_type="constant", learning_rate=1e30)
    trainer = trainer_of(stage, tmp_path)
    message = r"stage distil, step 2 of 6: a loss is not finite \(loss (nan|inf), attention .*, hard .*\)"
    with pytest.raises(RunFailed, match=message):
        trainer.train()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE, RELEASED])
def test_bf16_follows_fp32(tmp_path: Path, strategy: str) -> None:
    losses = {}
    for precision in ("fp32", "bf16"):
        trainer = trainer_of(stage_of(strategy, max_steps=4), tmp_path / precision, precision=precision)
        trainer.train()
        losses[precision] = [values["loss"] for values in recorder(trainer).of("train").values()]
        assert all(weight.dtype == torch.float32 for weight in weights_of(trainer).values())
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.05)


def test_the_released_code_is_padded_to_the_full_length(tmp_path: Path) -> None:
    (stage,) = parse_strategy(RELEASED).stages(TrainSettings(max_steps=1, bf16=False), 1)
    trainer = trainer_of(stage, tmp_path)
    shapes = []
    student = trainer.objective.student
    original = student.forward_internals
    student.forward_internals = lambda tokens, *rest, **more: (  # type: ignore[method-assign]
        shapes.append(tuple(tokens.input_ids.shape)) or original(tokens, *rest, **more)
    )
    trainer.train()
    assert shapes == [(32, trainer.tokens.max_length)]


class Second(OneProcess):
    """The second of two processes, of which the other does its share elsewhere."""

    rank = 1
    count = 2
    is_main = False


def test_a_process_without_an_example_trains_on_nothing(tmp_path: Path) -> None:
    """It reads another's example, so that all processes take part in the step, and its losses count for nothing."""
    stage = stage_of(
        FINE_TUNE, per_device_train_batch_size=1, max_steps=2, weight_decay=0.0, lr_scheduler_type="constant"
    )
    examples = TrainingSet.of_lists(random_lists(3), stage.examples)
    trainer = replace(trainer_of(stage, tmp_path), examples=examples, processes=Second())
    own = [trainer.loader(step).own for step in (0, 1)]
    assert sorted(own) == [False, True]
    assert [len(trainer.loader(step).micro_batches) for step in (0, 1)] == [1, 1]
    take_step = trainer.prepared()
    trainer.state.step = own.index(False)
    before = weights_of(trainer)
    values = take_step()
    assert {name for name, value in values.items() if value} == {"learning_rate"}
    assert_equal(weights_of(trainer), before)

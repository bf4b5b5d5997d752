"""Which checkpoint a training ends with, when it ends early, and the curve it leaves; all of it over a stop too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_training import FINE_TUNE, SIMPLIFIED, Recorder, assert_equal, objective_of, stage_of, trainer_of, weights_of

from distilkit.errors import Stopped
from distilkit.strategies import Stage
from distilkit.training.trainer import Trainer

RISING_AND_FALLING = [0.1, 0.3, 0.2, 0.25, 0.3, 0.1, 0.9]


def measured(stage: Stage, folder: Path, values: list[float], every: int) -> Trainer:
    """Return a trainer whose validations give these values, by the step they are made at."""
    trainer = trainer_of(stage, folder, objective_of(stage, 0.2))
    trainer.validate = lambda ranker: {"nDCG@10": values[(trainer.state.step - 1) // every]}
    return trainer


def curve(trainer: Trainer) -> list[dict[str, float]]:
    """Return a curve without its times."""
    return [{key: value for key, value in point.items() if key != "seconds"} for point in trainer.state.curve]


def stopped_and_taken_up(make: Callable[[], Trainer], steps: list[int]) -> Trainer:
    """Train with a stop after each of some steps, every time in a new trainer."""
    for step in steps:
        trainer = make()
        assert isinstance(trainer.reporter, Recorder)
        trainer.reporter.stop_at = step
        with pytest.raises(Stopped):
            trainer.train()
    trainer = make()
    trainer.train()
    return trainer


@pytest.mark.parametrize(
    ("patience", "ends_at", "best"),
    [(1, 6, 4), (2, 8, 4), (4, 12, 4), (5, 14, 14), (None, 14, 14)],
)
def test_a_training_stops_when_it_gets_no_better(tmp_path: Path, patience: int | None, ends_at: int, best: int) -> None:
    # The equal of the best, at step 10, is no better one.
    stage = stage_of(FINE_TUNE, max_steps=14, eval_steps=2, early_stopping_patience=patience)
    trainer = measured(stage, tmp_path, RISING_AND_FALLING, 2)
    state = trainer.train()
    assert (state.step, state.best_step) == (ends_at, best)
    assert state.best_value == RISING_AND_FALLING[best // 2 - 1]
    assert isinstance(trainer.reporter, Recorder)
    assert list(trainer.reporter.of("validation")) == list(range(2, ends_at + 1, 2))


def test_a_better_one_starts_the_count_anew(tmp_path: Path) -> None:
    stage = stage_of(FINE_TUNE, max_steps=14, eval_steps=2, early_stopping_patience=2)
    state = measured(stage, tmp_path, [0.5, 0.1, 0.6, 0.1, 0.7, 0.1, 0.1], 2).train()
    assert (state.step, state.best_step, state.worse) == (14, 10, 2)


@pytest.mark.parametrize("stops", [[3], [4], [5, 7], [8]])
@pytest.mark.parametrize("optim", ["adamw", "bert_adam"])
def test_patience_and_curve_outlive_a_stop(tmp_path: Path, optim: str, stops: list[int]) -> None:
    stage = stage_of(
        FINE_TUNE, max_steps=14, eval_steps=2, early_stopping_patience=3, eval_examples=(60, 70, 120), optim=optim
    )

    def make(name: str) -> Trainer:
        return measured(stage, tmp_path / name, RISING_AND_FALLING, 2)

    whole = make("whole")
    whole.train()
    assert (whole.state.step, whole.state.best_step, whole.state.worse) == (10, 4, 3)
    again = stopped_and_taken_up(lambda: make("again"), stops)
    assert (again.state.step, again.state.best_step, again.state.worse) == (10, 4, 3)
    assert curve(again) == curve(whole)
    # Pairs are counted, three of each list, and eight lists a step.
    assert {point["step"]: point["examples"] for point in curve(whole)} == {
        **{step: 24 * step for step in (2, 4, 6, 8, 10)},
        3: 60,
        5: 120,
    }
    assert_equal(weights_of(again), weights_of(whole))


def test_a_curve_has_its_points_and_chooses_nothing(tmp_path: Path) -> None:
    # Batches of 8: 1 example is seen after the first step, 17 after the third, and 1000 never.
    stage = stage_of(SIMPLIFIED, max_steps=6, eval_examples=(1, 17, 32, 1000))
    trainer = measured(stage, tmp_path / "curve", [0.9, 0.2, 0.3, 0.4, 0.5, 0.6], 1)
    state = trainer.train()
    assert curve(trainer) == [
        {"examples": 1, "step": 1, "nDCG@10": 0.9},
        {"examples": 17, "step": 3, "nDCG@10": 0.3},
        {"examples": 32, "step": 4, "nDCG@10": 0.4},
    ]
    assert [point["seconds"] for point in state.curve] == sorted(point["seconds"] for point in state.curve)
    assert (state.best_step, state.best_value, state.validation) == (0, None, {"nDCG@10": 0.6})
    assert isinstance(trainer.reporter, Recorder)
    assert trainer.reporter.of("curve")[3] == {"examples": 17, "nDCG@10": 0.3}
    plain = measured(stage_of(SIMPLIFIED, max_steps=6), tmp_path / "plain", [0.0] * 6, 1)
    plain.train()
    assert_equal(weights_of(trainer), weights_of(plain))  # and changes nothing of the training
    assert plain.state.curve == []


@pytest.mark.parametrize("strategy", [SIMPLIFIED, FINE_TUNE])
def test_the_optimiser_of_the_released_code(tmp_path: Path, strategy: str) -> None:
    def trained(name: str, **train: Any) -> Trainer:
        stage = stage_of(strategy, max_steps=6, **train)
        trainer = trainer_of(stage, tmp_path / name, objective_of(stage, 0.2))
        trainer.train()
        return trainer

    one, other = trained("one", optim="bert_adam"), trained("other")
    name = "student.model.classifier.weight"
    assert not weights_of(one)[name].equal(weights_of(other)[name])
    stage = stage_of(strategy, max_steps=6, optim="bert_adam")
    again = stopped_and_taken_up(lambda: trainer_of(stage, tmp_path / "again", objective_of(stage, 0.2)), [1, 4])
    assert_equal(weights_of(again), weights_of(one))

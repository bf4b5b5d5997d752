"""Batches of steps, and those that are made ahead: the same training, one thread, and nothing left of it."""

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from test_masked_words import TOKENS, general
from test_masked_words import objective_of as masked_words_of
from tiny_training import (
    FINE_TUNE,
    QUERIES,
    SIMPLIFIED,
    assert_equal,
    objective_of,
    random_store,
    random_tokens,
    stage_of,
    trainer_of,
    weights_of,
)

from distilkit.data.side_tokens import Side, SideTokens
from distilkit.errors import RunFailed, Stopped
from distilkit.models.batch import on_device
from distilkit.training.step_loader import PREFETCH_THREAD, TOKEN_BUDGET, Prefetcher, StepBatch, StepLoader, TrainingSet
from distilkit.training.trainer import Trainer

SECONDS = 500


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(PREFETCH_THREAD)]


class Maker:
    """Makes a step's double, and keeps which steps it made in which threads."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self.made = {step: threading.Event() for step in range(100)}
        self.fails: set[int] = set()

    def __call__(self, step: int) -> int:
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        self.made[step].set()
        if step in self.fails:
            raise OSError(f"step {step}")
        return 2 * step


@pytest.fixture
def maker() -> Iterator[Maker]:
    yield Maker()
    assert threads() == []


def test_the_next_step_is_made_before_it_is_asked_for_and_none_past_the_last(maker: Maker) -> None:
    with Prefetcher(maker, 4) as ahead:
        assert threads() == []
        for step in range(4):
            assert ahead(step) == 2 * step
            assert step == 3 or maker.made[step + 1].wait(SECONDS)
        assert not maker.made[4].wait(0.1)
    assert maker.steps == [0, 1, 2, 3]
    assert len(maker.threads) == 1
    assert threading.current_thread().name not in maker.threads


def test_steps_are_given_in_any_order(maker: Maker) -> None:
    asked = [5, 6, 2, 2, 3, 9, 0, 1]
    with Prefetcher(maker, 10) as ahead:
        assert [ahead(step) for step in asked] == [2 * step for step in asked]
    assert set(maker.steps) <= {step + more for step in asked for more in (0, 1)} - {10}


def test_a_failure_is_raised_at_the_step_that_needs_it(maker: Maker) -> None:
    maker.fails = {2}
    with Prefetcher(maker, 9) as ahead:
        assert ahead(0) == 0
        assert ahead(1) == 2
        assert maker.made[2].wait(SECONDS)
        assert ahead(7) == 14  # another step is none the worse for it
        assert ahead(1) == 2
        for _ in range(2):
            with pytest.raises(OSError, match="step 2"):
                ahead(2)
        assert ahead(3) == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_the_thread_ends_with_the_block(maker: Maker, error: type[BaseException]) -> None:
    def leave() -> None:
        with Prefetcher(maker, 9) as ahead:
            ahead(0)
            assert len(threads()) == 1
            raise error

    with pytest.raises(error):
        leave()


def test_a_process_ends_that_left_its_thread_alone() -> None:
    code = "from distilkit.training.step_loader import Prefetcher as P; print(P(lambda step: step, 9)(3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")


def pairs(folder: Path, prefetch: bool, strategy: str = SIMPLIFIED, **train: Any) -> Trainer:
    """Return a trainer with dropout whose twelve steps go over the end of an epoch."""
    stage = stage_of(strategy, **{"max_steps": 12, **train})
    return replace(trainer_of(stage, folder, objective_of(stage, 0.2)), prefetch=prefetch)


def lists(folder: Path, prefetch: bool, **train: Any) -> Trainer:
    return pairs(folder, prefetch, FINE_TUNE, **train)


def texts(folder: Path, prefetch: bool, **train: Any) -> Trainer:
    stage = general(**{"max_steps": 5, "per_device_train_batch_size": 4, **train})
    made = trainer_of(stage, folder, masked_words_of(stage))
    return replace(made, examples=TrainingSet.of_texts(TOKENS.continues), tokens=TOKENS, prefetch=prefetch)


class Spied:
    """A loader that keeps which steps it made, and whether in the thread; it fails at one of them."""

    def __init__(self, loader: StepLoader, fails_at: int | None = None) -> None:
        self.steps: list[tuple[int, bool]] = []
        self.batch_size, self._loader, self._fails_at = loader.batch_size, loader, fails_at

    def __call__(self, step: int) -> StepBatch:
        self.steps.append((step, threading.current_thread().name.startswith(PREFETCH_THREAD)))
        if step == self._fails_at:
            raise OSError("tokens.npy is shorter than it was written")
        return self._loader(step)


def spied(trainer: Trainer, fails_at: int | None = None) -> Spied:
    """Return what takes the place of a trainer's loader."""
    spied = Spied(trainer.loader, fails_at)
    trainer.loader = spied  # type: ignore[assignment]
    return spied


@pytest.mark.parametrize("kind", [pairs, lists, texts])
def test_a_training_is_the_same_to_the_bit(tmp_path: Path, kind: Callable[..., Trainer]) -> None:
    plain, ahead = (kind(tmp_path / str(one), one) for one in (False, True))
    spies = [spied(trainer) for trainer in (plain, ahead)]
    for trainer in (plain, ahead):
        trainer.train()
    assert plain.reporter.of("train") == ahead.reporter.of("train")  # type: ignore[attr-defined]
    assert_equal(weights_of(plain), weights_of(ahead))
    assert [spy.steps for spy in spies] == [[(step, one) for step in range(plain.total)] for one in (False, True)]
    assert threads() == []


@pytest.mark.parametrize("kind", [pairs, lists])
def test_a_stopped_training_goes_on_at_its_step(tmp_path: Path, kind: Callable[..., Trainer]) -> None:
    whole, first = (kind(tmp_path / name, prefetch=True) for name in ("whole", "stopped"))
    whole.train()
    first.reporter.stop_at = 5  # type: ignore[attr-defined]
    with pytest.raises(Stopped):
        first.train()
    assert threads() == []
    again = kind(tmp_path / "stopped", prefetch=True)
    spy = spied(again)
    again.train()
    assert [step for step, _ in spy.steps] == list(range(5, 12))
    assert_equal(weights_of(again), weights_of(whole))


def test_a_step_out_of_order_reads_its_own_batch(tmp_path: Path) -> None:
    asked = [0, 1, 7, 3, 4, 4, 11, 0]
    values = []
    for ahead in (False, True):
        trainer = pairs(tmp_path / str(ahead), ahead)
        take_step = trainer.prepared()
        values.append([])
        for step in asked:
            trainer.state.step = step
            values[-1].append(take_step())
        if trainer._prefetcher is not None:
            trainer._prefetcher.__exit__(None, None, None)
    assert values[0] == values[1]
    assert threads() == []


def test_texts_that_cannot_be_read_end_a_training_where_they_are_needed(tmp_path: Path) -> None:
    found = []
    for ahead in (False, True):
        trainer = pairs(tmp_path / str(ahead), ahead)
        spied(trainer, fails_at=3)
        with pytest.raises(OSError, match="shorter than it was written"):
            trainer.train()
        found.append(trainer.reporter.of("train"))  # type: ignore[attr-defined]
        assert threads() == []
    assert found[0] == found[1]
    assert list(found[0]) == [1, 2, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_training_leaves_no_thread(tmp_path: Path, error: type[BaseException]) -> None:
    trainer = pairs(tmp_path, prefetch=True)

    def interrupt() -> None:
        assert len(threads()) == 1
        raise error

    trainer.reporter.on_event = interrupt  # type: ignore[attr-defined]
    with pytest.raises(error):
        trainer.train()
    assert threads() == []


def test_a_training_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    trainer = pairs(tmp_path, prefetch=True, lr_scheduler_type="constant", learning_rate=1e30)
    with pytest.raises(RunFailed, match="a loss is not finite"):
        trainer.train()
    assert threads() == []


def sides() -> SideTokens:
    form = {"prefix": (2,), "suffix": (3,), "pad": 0, "types": True}
    queries, documents = random_store(QUERIES, 8, 1), random_store(30, 30, 2)
    return SideTokens(Side(store=queries, max_length=8, **form), Side(store=documents, max_length=20, **form))


def loaders() -> dict[str, StepLoader]:
    """Return the loaders of every form of examples, on the CPU."""
    pairs, lists, triples = stage_of(SIMPLIFIED), stage_of(FINE_TUNE), stage_of("margin_mse")
    folder = Path("unused")
    of_pairs, of_lists, of_triples = (trainer_of(stage, folder).loader for stage in (pairs, lists, triples))
    scored = replace(of_lists.examples, targets=np.ones_like(of_lists.examples.labels, np.float32))
    return {
        "pairs": of_pairs,
        "packed": replace(of_pairs, packed=True),
        "released": replace(of_pairs, stage=stage_of('simplified_tinybert(variant="released_code")')),
        "cached scores": replace(of_lists, examples=scored),
        "another form": replace(of_triples, teacher_tokens=random_tokens()),
        "sides": replace(of_triples, tokens=sides(), teacher_tokens=random_tokens()),
        "grouped sides": replace(of_triples, tokens=sides()),
        "texts": replace(of_pairs, stage=general(), examples=TrainingSet.of_texts(TOKENS.continues), tokens=TOKENS),
        "packed texts": replace(
            of_pairs, stage=general(), examples=TrainingSet.of_texts(TOKENS.continues), tokens=TOKENS, packed=True
        ),
    }


def tensors(part: Any) -> list[torch.Tensor]:
    if isinstance(part, torch.Tensor):
        return [part]
    inside = [getattr(part, field.name) for field in fields(part)] if is_dataclass(part) else part
    return [found for one in inside for found in tensors(one)] if isinstance(inside, list | tuple) else []


@pytest.mark.parametrize("form", loaders())
def test_a_batch_draws_nothing_and_depends_on_its_step_alone(form: str) -> None:
    loader, again = loaders()[form], loaders()[form]
    torch.manual_seed(1)
    random.seed(1)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    found = {step: loader(step) for step in (0, 1, 2, 3)}
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    for step in (3, 0):
        other = again(step)
        assert other.counts == found[step].counts
        pairs = list(zip(tensors(other.micro_batches), tensors(found[step].micro_batches), strict=True))
        assert pairs
        assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("form", loaders())
def test_every_tensor_is_pinned_and_moved(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pinned(torch.Tensor):
        pass

    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor.as_subclass(Pinned))
    loader = loaders()[form]
    plain, made = tensors(loader(1).micro_batches), tensors(replace(loader, pin=True)(1).micro_batches)
    assert len(made) == len(plain) > 0
    assert all(isinstance(one, Pinned) for one in made)
    moved = [on_device(batch, "meta") for part in loader(1).micro_batches for batch in part]
    assert [one.shape for one in tensors(moved)] == [one.shape for one in plain]
    assert all(one.device.type == "meta" for one in tensors(moved))


def test_gpus_alone_have_it_by_default(tmp_path: Path) -> None:
    made = trainer_of(stage_of(SIMPLIFIED), tmp_path)
    assert (made.loader.pin, made.loader.token_budget, made._prefetches) == (False, 0, False)
    on_gpu = replace(made, processes=SimpleNamespace(device=torch.device("cuda", 1), rank=1, count=2))  # type: ignore[arg-type]
    assert (on_gpu.loader.pin, on_gpu.loader.token_budget, on_gpu._prefetches) == (True, TOKEN_BUDGET, True)
    assert (on_gpu.loader.rank, on_gpu.loader.processes, on_gpu.loader.packed) == (1, 2, True)
    without = replace(on_gpu, prefetch=False, token_budget=0)
    assert (without.loader.token_budget, without._prefetches) == (0, False)

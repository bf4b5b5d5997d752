"""Memory that runs out: smaller micro-batches with the same gradient, and one sentence that says what to lower."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny_training import FINE_TUNE, SIMPLIFIED, stage_of, trainer_of

from distilkit.errors import RunFailed, is_out_of_memory, lowering
from distilkit.training.trainer import Trainer

SAID = "[enforce fail at alloc_cpu.cpp:114] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
FAILED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError(f"{SAID} 80000000 bytes. Error code 12 (Cannot allocate memory)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
    pa.ArrowMemoryError("malloc of size 64 failed"),
    OSError(12, "Cannot allocate memory"),
]


def failing(trainer: Trainer, passes: set[int], error: BaseException) -> list[int]:
    """Let some of a trainer's forward passes fail behind their first half; return the examples of each pass."""
    objective, read = trainer.objective, list[int]()
    forward = objective.forward

    def run(buckets: Any, ways: int, counts: Any) -> Any:
        read.append(sum(len(one.labels) for one in buckets) // ways)
        losses = forward(buckets, ways, counts)
        if len(read) in passes:
            raise error
        return losses

    objective.forward = run  # type: ignore[method-assign]
    return read


def gradients(trainer: Trainer) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the gradients of every step, as the optimiser sees them."""
    step = trainer.prepared()
    seen: list[dict[str, torch.Tensor]] = []
    clip = trainer._clip

    def kept(accelerator: Any) -> None:
        clip(accelerator)
        named = trainer.objective.named_parameters()
        seen.append({name: one.grad.detach().clone() for name, one in named if one.grad is not None})

    trainer._clip = kept  # type: ignore[method-assign]
    while trainer.state.step < trainer.total:
        step()
        yield seen[-1]


@pytest.mark.parametrize("strategy", [FINE_TUNE, SIMPLIFIED])
@pytest.mark.parametrize("error", FAILED[:4], ids=lambda error: type(error).__name__)
def test_micro_batches_shrink_and_gradients_stay(tmp_path: Path, strategy: str, error: BaseException) -> None:
    stage = stage_of(strategy, num_train_epochs=2.0, max_grad_norm=0.0)
    whole = trainer_of(stage, tmp_path / "whole")
    short = trainer_of(stage, tmp_path / "short", objective=copy.deepcopy(whole.objective))
    said = list[str]()
    short.reporter.say = lambda text, **_: said.append(text)  # type: ignore[method-assign]
    # The first pass of the first step fails, so does the second pass of the step in halves, of which the first stands.
    read = failing(short, {1, 3}, error)
    pairs = zip(gradients(whole), gradients(short), strict=True)
    for expected, found in pairs:
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert read[:3] == [8, 4, 4]
    assert set(read[3:]) <= {1, 2}
    assert len(said) == 2
    assert said[0].startswith(f"{stage.name}: step 1: memory ran out")
    assert "micro-batches have 4 examples from here on, and a step reads 8 as before" in said[0]
    assert "micro-batches have 2 examples" in said[1]
    for (name, one), (_, other) in zip(
        whole.objective.student.named_parameters(), short.objective.student.named_parameters(), strict=True
    ):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_passes_of_tokens_shrink_too(tmp_path: Path) -> None:
    stage = stage_of(FINE_TUNE, num_train_epochs=1.0)
    trainer = trainer_of(stage, tmp_path)
    trainer.token_budget = 512
    trainer.__post_init__()
    before = [len(trainer.loader(0).micro_batches)]
    while trainer.loader.shrink():
        before.append(len(trainer.loader(0).micro_batches))
    assert trainer.loader.micro_batch == "64 tokens"
    assert before == sorted(before)
    assert before[-1] > before[0]


def test_what_cannot_shrink_further_ends_in_one_sentence(tmp_path: Path) -> None:
    trainer = trainer_of(stage_of(FINE_TUNE), tmp_path)
    read = failing(trainer, set(range(1, 100)), torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(RunFailed) as found:
        trainer.train()
    assert read == [8, 4, 2, 1]
    assert str(found.value) == (
        "memory ran out (CUDA out of memory.): lower per_device_train_batch_size of the stage fine_tune (8 now), and "
        "raise gradient_accumulation_steps by as much; nothing that was finished is lost"
    )


@pytest.mark.parametrize("error", FAILED, ids=lambda error: type(error).__name__)
def test_every_failed_allocation_is_known(error: BaseException) -> None:
    assert is_out_of_memory(error)
    with (
        pytest.raises(RunFailed, match=r"^memory ran out.*: lower this; nothing that was finished is lost$"),
        lowering("this"),
    ):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(28, "No space left"), ValueError("memory")])
def test_other_failures_are_left_alone(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), lowering("this"):
        raise error


def test_real_allocations_fail_as_expected() -> None:
    for allocate in (lambda: np.empty(1 << 60, np.uint8), lambda: torch.empty(1 << 60, dtype=torch.uint8)):
        with pytest.raises((MemoryError, RuntimeError)) as found:
            allocate()
        assert is_out_of_memory(found.value)


def test_a_run_ends_in_one_sentence_and_goes_on(
    cli: Callable[..., Any], tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", tiny_recipe, "--runs-dir", tmp_path, "--set", "twin.budget=none")
    places = {
        "distilkit.training.trainer.Trainer._backward": "lower per_device_train_batch_size of the stage fine_tune (4",
        "distilkit.evaluation.rerank.launch_batch": "lower [evaluate] per_device_eval_batch_size, or --batch-size",
        "distilkit.data.bm25.Bm25.__init__": "lower per_device_train_batch_size, per_device_eval_batch_size or [data]",
    }
    for number, (place, advice) in enumerate(reversed(places.items())):
        with monkeypatch.context() as patched:

            def fails(*given: object, **named: object) -> None:
                raise MemoryError("Unable to allocate 3.00 TiB")

            patched.setattr(place, fails)
            outcome = cli(*words, *(("--resume", "auto") if number else ()))
        assert outcome.code == 1, outcome.err
        assert "Traceback" not in outcome.err
        last = outcome.err.splitlines()[-1]
        assert last.startswith(f"distilkit: memory ran out (Unable to allocate 3.00 TiB): {advice}"), last
    # Smaller passes over the same effective batch are the same recipe.
    smaller = ("--set", "train.per_device_train_batch_size=4", "--set", "train.gradient_accumulation_steps=2")
    outcome = cli(*words, "--resume", "auto", *smaller, "--set", "evaluate.per_device_eval_batch_size=2")
    assert outcome.code == 0, outcome.err
    outcome = cli(*words, "--set", "train.per_device_train_batch_size=4", "--resume", "auto")
    assert (outcome.code, "per_device_train_batch_size * gradient_accumulation_steps = 8, not 4" in outcome.err) == (
        2,
        True,
    )

"""Parts of so many tokens: the fewest that keep the budget, and the same losses and weights."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import unequal_parts
from cli_processes import end_well, together
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_masked_words import TOKENS, general
from test_masked_words import objective_of as masked_words_of
from tiny_training import FINE_TUNE, SIMPLIFIED, objective_of, stage_of, trainer_of, weights_of

from distilkit.training.step_loader import TrainingSet, micro_batches_of_examples, micro_batches_of_tokens
from distilkit.training.trainer import Trainer

RELEASED = 'simplified_tinybert(variant="released_code")'


@st.composite
def examples(draw: st.DrawFn) -> np.ndarray:
    """Return the lengths of some examples, [n, ways]."""
    ways = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(st.integers(1, 30), min_size=ways, max_size=ways), min_size=1, max_size=25))
    return np.array(rows)


def tokens(part: np.ndarray, packed: bool) -> int:
    return int(part.sum() if packed else part.size * part.max())


def fewest(lengths: np.ndarray, budget: int, packed: bool) -> int:
    """Return how many parts every cut has at least, by trying all."""
    least = [0]
    for end in range(1, len(lengths) + 1):
        starts = [at for at in range(end) if at == end - 1 or tokens(lengths[at:end], packed) <= budget]
        least.append(1 + min(least[at] for at in starts))
    return least[-1]


@given(examples(), st.integers(1, 300), st.booleans())
@example(np.array([[5], [5], [5]]), 10, True)
@example(np.array([[2], [5], [5]]), 10, False)
def test_parts_hold_every_example_once_within_the_budget(lengths: np.ndarray, budget: int, packed: bool) -> None:
    parts = micro_batches_of_tokens(lengths, budget, packed)
    rows = np.arange(len(lengths))
    assert [row for part in parts for row in rows[part]] == rows.tolist()
    assert all(len(rows[part]) == 1 or tokens(lengths[part], packed) <= budget for part in parts)
    assert all(len(rows[part]) for part in parts)
    assert len(parts) == fewest(lengths, budget, packed)


@given(st.integers(1, 50), st.integers(1, 60))
def test_micro_batches_of_examples_have_one_size(count: int, size: int) -> None:
    parts = [np.arange(count)[part].tolist() for part in micro_batches_of_examples(count, size)]
    assert list(chain(*parts)) == list(range(count))
    assert {len(part) for part in parts[:-1]} <= {size}
    assert len(parts[-1]) <= size


# With so large an epsilon Adam follows the gradient, not its sign alone.
SETTINGS = {"learning_rate": 0.1, "adam_epsilon": 1.0, "lr_scheduler_type": "constant", "max_grad_norm": 0.0}


def pairs(folder: Path, strategy: str = SIMPLIFIED, **train: Any) -> Trainer:
    stage = stage_of(strategy, max_steps=3, **{**SETTINGS, **train})
    return trainer_of(stage, folder, objective_of(stage))


def lists(folder: Path, **train: Any) -> Trainer:
    return pairs(folder, FINE_TUNE, **train)


def texts(folder: Path, **train: Any) -> Trainer:
    stage = general(max_steps=3, **{**SETTINGS, **train})
    made = trainer_of(stage, folder, masked_words_of(stage))
    return replace(made, examples=TrainingSet.of_texts(TOKENS.continues), tokens=TOKENS)


def trained(trainer: Trainer) -> tuple[list[dict[str, float]], dict[str, torch.Tensor], list[int]]:
    """Return a training's losses and weights, and how many parts its steps had."""
    trainer.train()
    parts = [len(trainer.loader(step).micro_batches) for step in range(trainer.total)]
    return list(trainer.reporter.of("train").values()), weights_of(trainer), parts  # type: ignore[attr-defined]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "budget"), [(pairs, 90), (lists, 150), (texts, 40)])
@pytest.mark.parametrize(("per_device", "accumulation"), [(8, 1), (1, 8)], ids=["split", "merged"])
def test_a_training_cut_by_tokens_is_the_same(
    tmp_path: Path, kind: Callable[..., Trainer], budget: int, packed: bool, per_device: int, accumulation: int
) -> None:
    train = {"per_device_train_batch_size": per_device, "gradient_accumulation_steps": accumulation}
    whole = trained(kind(tmp_path / "whole", **train))
    cut = trained(replace(kind(tmp_path / "cut", **train), token_budget=budget, packed=packed))
    assert max(cut[2]) > 1
    assert sum(cut[2]) > sum(whole[2]) if accumulation == 1 else sum(cut[2]) < sum(whole[2])
    torch.testing.assert_close(cut[:2], whole[:2], rtol=1e-5, atol=2e-6)


def test_one_pass_takes_a_whole_part(tmp_path: Path) -> None:
    loader = replace(pairs(tmp_path).loader, token_budget=90)
    assert all(len(part) == 1 for step in range(3) for part in loader(step).micro_batches)


def test_what_counts_padding_keeps_its_parts(tmp_path: Path) -> None:
    made = pairs(tmp_path, RELEASED, per_device_train_batch_size=4, gradient_accumulation_steps=2)
    parts = replace(made, token_budget=1, packed=True).loader(0).micro_batches
    assert [[len(batch.labels) for batch in part] for part in parts] == [[4], [4]]
    assert {batch.tokens.input_ids.shape[1] for part in parts for batch in part} == {made.tokens.max_length}  # type: ignore[union-attr]


@pytest.mark.slow
def test_processes_with_unequal_numbers_of_parts_train_as_one(tmp_path: Path) -> None:
    with together(unequal_parts.main, tmp_path, folder=tmp_path / "said") as ranks:
        end_well(ranks)
    two = json.loads((tmp_path / "losses.json").read_text())
    assert two["parts"] == [4, 3]
    losses, weights, _ = trained(unequal_parts.trainer(tmp_path / "one", 1))
    assert two["losses"] == pytest.approx([values["loss"] for values in losses], rel=1e-5)
    torch.testing.assert_close(load_file(tmp_path / "weights.safetensors"), weights, rtol=1e-5, atol=2e-6)

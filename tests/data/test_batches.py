"""The order of examples and their cutting into batches of like length."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.data.batches import Schedule, micro_batches, total_steps
from distilkit.settings import TrainSettings

lengths_of = st.lists(st.integers(3, 256), min_size=1, max_size=300)


@settings(deadline=None)
@given(lengths=lengths_of, batch_size=st.integers(1, 40), seed=st.integers(0, 5), number=st.integers(0, 3))
def test_an_epoch_sees_every_example_once(lengths: list[int], batch_size: int, seed: int, number: int) -> None:
    schedule = Schedule(np.array(lengths), batch_size, seed)
    batches = schedule.epoch(number)
    assert len(batches) == schedule.steps_per_epoch == math.ceil(len(lengths) / batch_size)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert sorted(len(batch) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    lengths = np.random.default_rng(0).integers(3, 200, 500)

    def order(seed: int, epoch: int, before: int = 0) -> list[int]:
        schedule = Schedule(lengths, 16, seed)
        for number in range(before):
            schedule.epoch(number)
        return [int(example) for batch in schedule.epoch(epoch) for example in batch]

    assert order(1, 2) == order(1, 2, before=2)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(1, 1)


def test_batches_are_of_like_length_and_in_no_order() -> None:
    lengths = np.random.default_rng(0).integers(3, 256, 4000)
    batches = Schedule(lengths, 32, 1).epoch(0)
    padded = sum(int(lengths[batch].max()) * len(batch) for batch in batches)
    assert padded < 1.1 * lengths.sum()
    longest = [int(lengths[batch].max()) for batch in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


@settings(deadline=None)
@given(lengths=lengths_of, waste=st.floats(1.0, 2.0), least=st.integers(1, 10))
def test_micro_batches_are_a_partition_with_little_padding(lengths: list[int], waste: float, least: int) -> None:
    all_lengths = np.array(lengths)
    groups = micro_batches(all_lengths, waste, least)
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    for group in groups:
        padded = all_lengths[group].max() * len(group)
        assert len(group) <= least or padded <= waste * all_lengths[group].sum()
    assert all(len(group) >= least for group in groups[:-1])


def test_equal_lengths_stay_together() -> None:
    assert [len(group) for group in micro_batches(np.full(64, 20))] == [64]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_train_epochs": 2.0}, 14),
        ({"num_train_epochs": 0.5}, 4),
        ({"num_train_epochs": 2.0, "max_steps": 3}, 3),
    ],
)
def test_total_steps(settings: dict[str, float], expected: int) -> None:
    assert total_steps(50, 8, TrainSettings(**settings)) == expected

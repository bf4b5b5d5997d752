"""The order of examples and their cutting into batches of like length."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.data.batches import PairLengths, Schedule, length_buckets, total_steps
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


def test_lengths_are_read_when_a_batch_is_asked_for() -> None:
    asked: list[int] = []

    class Tokens:
        def lengths(self, queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
            asked.append(len(queries))
            return queries + passages

    rng = np.random.default_rng(0)
    queries, passages = rng.integers(3, 30, (4000, 1)).repeat(2, axis=1), rng.integers(3, 200, (4000, 2))
    batches = Schedule(PairLengths(Tokens(), queries, passages), 8, 1).epoch(0)
    assert not asked
    longest = Schedule((queries + passages).max(axis=1), 8, 1).epoch(0)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in longest]
    assert asked == [800] * 10
    assert batches[-1].tolist() == batches[len(batches) - 1].tolist() == batches[-1:][0].tolist()
    with pytest.raises(IndexError, match="batch 500 of 500"):
        batches[500]


def cost(lengths: np.ndarray, groups: list[np.ndarray], pass_cost: int) -> int:
    return sum(int(lengths[group].max()) * len(group) + pass_cost for group in groups)


@settings(deadline=None)
@given(lengths=lengths_of, pass_cost=st.integers(0, 200))
def test_micro_batches_are_a_partition_by_length(lengths: list[int], pass_cost: int) -> None:
    all_lengths = np.array(lengths)
    groups = length_buckets(all_lengths, pass_cost)
    assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
    assert all(len(group) for group in groups)
    ordered = all_lengths[np.concatenate(groups)]
    assert (ordered[:-1] >= ordered[1:]).all()


@settings(deadline=None)
@given(lengths=st.lists(st.integers(1, 100), min_size=1, max_size=8), pass_cost=st.integers(0, 100))
def test_no_other_cut_costs_less(lengths: list[int], pass_cost: int) -> None:
    found = np.array(lengths)
    order = np.argsort(-found, kind="stable")
    cuts = [
        np.split(order, [place + 1 for place in range(len(order) - 1) if chosen >> place & 1])
        for chosen in range(2 ** (len(order) - 1))
    ]
    assert cost(found, length_buckets(found, pass_cost), pass_cost) == min(cost(found, cut, pass_cost) for cut in cuts)


def test_lists_of_any_length_are_hardly_padded() -> None:
    lengths = np.random.default_rng(0).gamma(6.8, 12.65, 64).astype(np.int64) + 1
    padded = sum(int(lengths[group].max()) * len(group) for group in length_buckets(lengths))
    assert padded < 1.08 * lengths.sum()


def test_equal_lengths_stay_together() -> None:
    assert [len(group) for group in length_buckets(np.full(64, 20))] == [64]


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

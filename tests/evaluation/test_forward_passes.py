"""How pairs are cut into forward passes for scoring."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distilkit.evaluation.rerank import CPU_TOKENS, GPU_TOKENS, forward_passes

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 5000), max_size=60), batch_size=st.integers(1, 40))
def test_every_pair_is_scored_once_and_passes_stay_small(lengths: list[int], batch_size: int) -> None:
    found = np.array(lengths, np.int64)
    passes = forward_passes(found, batch_size, CPU)
    order = [int(pair) for batch in passes for pair in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[pair] for pair in order] == sorted(lengths, reverse=True)
    for batch in passes:
        assert len(batch) == 1 or found[batch].max() * len(batch) <= CPU_TOKENS
        assert 0 < len(batch) <= batch_size


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 5000), max_size=400), batch_size=st.integers(1, 40))
def test_a_gpu_gets_many_short_pairs_and_no_less_than_was_asked_for(lengths: list[int], batch_size: int) -> None:
    found = np.array(lengths, np.int64)
    passes = forward_passes(found, batch_size, GPU)
    assert [lengths[pair] for batch in passes for pair in batch] == sorted(lengths, reverse=True)
    for batch in passes[:-1]:
        assert len(batch) == max(batch_size, GPU_TOKENS // max(1, found[batch].max()))
    assert all(len(batch) > 0 for batch in passes)


def test_a_pass_of_a_gpu_by_hand() -> None:
    lengths = np.array([512] * 130 + [64] * 100)
    assert [len(batch) for batch in forward_passes(lengths, 64, GPU)] == [128, 102]
    assert [len(batch) for batch in forward_passes(lengths, 200, GPU)] == [200, 30]

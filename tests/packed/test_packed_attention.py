"""Attention over sequences that lie one after another against attention over padded ones."""

import pytest
import torch
from ragged import LENGTHS, offsets_of, pad, ragged
from torch.nn import functional as F

from distilkit.packed import attention
from distilkit.packed.attention import VarlenArgs, by_sequence, packed_attention, padded

SCALE = 0.3


def tensors(lengths: list[int]) -> list[torch.Tensor]:
    return [ragged(lengths, 2, 8, seed).requires_grad_() for seed in range(3)]


@pytest.mark.parametrize("form", [by_sequence, padded])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_equals_padded_attention(form: object, lengths: list[int]) -> None:
    ours, theirs = tensors(lengths), tensors(lengths)
    found = form(*ours, VarlenArgs(offsets_of(lengths), max(lengths), SCALE))
    parts = [pad(one, lengths)[0].transpose(1, 2) for one in theirs]
    mask = pad(theirs[0], lengths)[1]
    whole = F.scaled_dot_product_attention(*parts, attn_mask=mask[:, None, None], scale=SCALE).transpose(1, 2)
    torch.testing.assert_close(found, whole[mask], rtol=0, atol=1e-6)
    weights = ragged(lengths, 2, 8, 9)
    (found * weights).sum().backward()
    (whole[mask] * weights).sum().backward()
    for own, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, expected.grad, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [by_sequence, padded])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_first_tokens_alone_see_what_they_see_among_the_others(form: object, lengths: list[int]) -> None:
    ours, theirs = tensors(lengths), tensors(lengths)
    offsets = offsets_of(lengths)
    whole = form(*theirs, VarlenArgs(offsets, max(lengths), SCALE))[offsets[:-1]]
    query, key, value = ours
    found = form(query[offsets[:-1]], key, value, VarlenArgs(offsets, max(lengths), SCALE, cls_only=True))
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-6)
    weights = ragged([len(lengths)], 2, 8, 9)
    (found * weights).sum().backward()
    (whole * weights).sum().backward()
    for own, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own.grad, expected.grad, rtol=0, atol=1e-5)


def test_the_scale_is_that_of_the_heads_by_default() -> None:
    lengths = [4, 2]
    given = *tensors(lengths), offsets_of(lengths), 4
    expected = by_sequence(*given[:3], VarlenArgs(*given[3:], 8**-0.5))
    torch.testing.assert_close(packed_attention(*given), expected)


@pytest.mark.parametrize("form", [by_sequence, padded])
def test_dropout_keeps_the_mean(form: object) -> None:
    query, key, _ = tensors([30])
    value = torch.ones(30, 2, 8)
    torch.manual_seed(0)
    found = form(query, key, value, VarlenArgs(offsets_of([30]), 30, SCALE, 0.5))
    assert not torch.allclose(found, value)
    assert found.mean().item() == pytest.approx(1.0, abs=0.2)


def test_a_form_that_is_missing_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    """On a CPU torch has no flash attention of variable length."""
    attention._variable_length_agrees.cache_clear()
    assert not any(attention._variable_length_agrees(torch.device("cpu"), torch.bfloat16) for _ in range(2))
    assert len(caplog.records) == 1
    assert "torch's variable-length attention is not used on cpu in bfloat16" in caplog.text

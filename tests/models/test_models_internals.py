"""Our attention function against transformers' eager one, and the scores it captures."""

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_batch
from torch import Tensor
from transformers import PreTrainedModel

from distilkit.errors import UserError
from distilkit.models import attention as internals
from distilkit.models.attention import whole_layers
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat

Make = Callable[..., PreTrainedModel]
BATCHES = {"full": tiny_batch([9, 9, 9]), "padded": tiny_batch([9, 4, 7], padded=12)}
KEYS = {
    "bert": ("query", "key"),
    "electra": ("query", "key"),
    "roberta": ("query", "key"),
    "albert": ("query", "key"),
    "distilbert": ("q_lin", "k_lin"),
}


def eager_logits(model: PreTrainedModel, batch: TokenBatch, family: str) -> Tensor:
    types = {} if family in ("distilbert", "roberta") else {"token_type_ids": batch.token_type_ids}
    return model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **types).logits


@contextmanager
def queries_and_keys(model: PreTrainedModel, family: str) -> Iterator[list[list[Tensor]]]:
    """Collect what the query maps and the key maps return, call by call."""
    taken: list[list[Tensor]] = [[], []]
    handles = [
        module.register_forward_hook(lambda _, __, output, to=to: to.append(output))
        for name, to in zip(KEYS[family], taken, strict=True)
        for path, module in model.named_modules()
        if path.endswith(f".{name}")
    ]
    yield taken
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("padding", BATCHES)
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_scores_equal_eager(tiny: Make, family: str, frozen: bool, padding: str) -> None:
    model, batch = tiny(family), BATCHES[padding]
    expected = eager_logits(model, batch, family)
    cat = BertCat(model)
    assert model.config._attn_implementation == internals.ATTENTION
    with torch.set_grad_enabled(not frozen), queries_and_keys(model, family) as (queries, keys):
        some = cat.forward_internals(batch, (3, 1), ())
        torch.testing.assert_close(cat.logits(batch), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(some.logits, expected, rtol=0, atol=1e-6)
    for scores, layer in zip(some.attentions, (3, 1), strict=True):
        query, key = (states[layer].unflatten(-1, (2, -1)).transpose(1, 2) for states in (queries, keys))
        torch.testing.assert_close(scores, query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, rtol=1e-6, atol=1e-6)
        assert scores.requires_grad is not frozen


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_eager(tiny: Make, family: str) -> None:
    eager, ours = tiny(family), BertCat(tiny(family))
    batch = BATCHES["padded"]
    eager_logits(eager, batch, family).sum().backward()
    ours.forward_internals(batch, (0, 2), ()).logits.sum().backward()
    for (name, theirs), mine in zip(eager.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_those_of_transformers(tiny: Make, family: str) -> None:
    cat, batch = BertCat(tiny(family)), BATCHES["padded"]
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if family not in ("distilbert", "roberta"):
        inputs["token_type_ids"] = batch.token_type_ids
    expected = cat.model(**inputs, output_hidden_states=True).hidden_states
    assert len(expected) == cat.num_layers + 1
    states = cat.forward_internals(batch, (), (4, 0, 2)).states
    torch.testing.assert_close(list(states), [expected[4], expected[0], expected[2]])


@pytest.mark.parametrize(("dtype", "captured"), [(torch.float32, ()), (torch.float32, (1,)), (torch.bfloat16, ())])
def test_dropout_is_that_of_eager(tiny: Make, dtype: torch.dtype, captured: tuple[int, ...]) -> None:
    """With explicit attention the same numbers are drawn in the same order, so even one draw must agree."""
    eager, ours = tiny(attention_probs_dropout_prob=0.5), BertCat(tiny(attention_probs_dropout_prob=0.5))
    eager.to(dtype).train()
    ours.to(dtype).train()
    batch = BATCHES["padded"]
    torch.manual_seed(5)
    expected = eager_logits(eager, batch, "bert")
    torch.manual_seed(5)
    with whole_layers():
        logits = ours.forward_internals(batch, captured, ()).logits
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 0.1)
    assert not torch.allclose(ours.logits(batch), logits)


def test_dropout_of_a_frozen_model_in_training_mode(tiny: Make) -> None:
    cat = BertCat(tiny(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)).train()
    with torch.no_grad():
        assert not torch.equal(cat.logits(BATCHES["full"]), cat.logits(BATCHES["full"]))


@pytest.mark.parametrize(
    ("dtype", "length", "trained", "fused"),
    [
        (torch.float32, 8, True, False),
        (torch.float32, 220, True, True),
        (torch.bfloat16, 220, True, False),
        (torch.float32, 8, False, True),
        (torch.bfloat16, 8, False, True),
    ],
)
def test_kernels(
    tiny: Make, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, length: int, trained: bool, fused: bool
) -> None:
    calls: list[Any] = []
    original = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        internals.F,
        "scaled_dot_product_attention",
        lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs),
    )
    cat = BertCat(tiny(max_position_embeddings=256)).to(dtype)
    with torch.set_grad_enabled(trained), whole_layers():
        cat.logits(tiny_batch([length, length - 2]))
        assert len(calls) == (4 if fused else 0)
        calls.clear()
        cat.forward_internals(tiny_batch([length, length - 2]), (0, 3), ())
        assert len(calls) == (2 if fused else 0)


def test_scores_of_a_student_under_autocast_stay_narrow(tiny: Make) -> None:
    cat = BertCat(tiny())
    exact = cat.forward_internals(BATCHES["padded"], (2,), ())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        narrow = cat.forward_internals(BATCHES["padded"], (2,), ())
    assert narrow.attentions[0].dtype == torch.bfloat16
    torch.testing.assert_close(narrow.attentions[0].float(), exact.attentions[0], rtol=0.1, atol=0.3)


def test_the_mask_has_no_row_per_query(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[Tensor | None] = []
    original = internals.attention
    from transformers import AttentionInterface

    def spy(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
        masks.append(mask)
        return original(module, query, key, value, mask, **options)

    cat = BertCat(tiny())
    AttentionInterface.register(internals.ATTENTION, spy)
    try:
        with whole_layers():
            cat.logits(BATCHES["padded"])
            cat.logits(BATCHES["full"])
    finally:
        AttentionInterface.register(internals.ATTENTION, original)
    assert [None if mask is None else tuple(mask.shape) for mask in masks] == [(3, 1, 1, 12)] * 4 + [None] * 4


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=3), st.integers(0, 8), st.sampled_from(FAMILIES))
def test_padding_changes_no_score(counts: list[int], more: int, family: str) -> None:
    cat = MODELS[family]
    batch, wider = tiny_batch(counts), tiny_batch(counts, padded=max(counts) + more)
    longest = max(counts)
    with torch.no_grad():
        torch.testing.assert_close(cat.score(wider), cat.score(batch), rtol=0, atol=1e-12)
        plain = cat.forward_internals(batch, (0, 3), (0, 4))
        padded = cat.forward_internals(wider, (0, 3), (0, 4))
    valid = batch.attention_mask.bool()
    pairs = (valid[:, None, :, None] & valid[:, None, None, :]).expand_as(plain.attentions[0])
    for ours, theirs in zip(padded.attentions, plain.attentions, strict=True):
        torch.testing.assert_close(ours[..., :longest, :longest][pairs], theirs[pairs], rtol=0, atol=1e-11)
    for ours, theirs in zip(padded.states, plain.states, strict=True):
        torch.testing.assert_close(ours[:, :longest][valid], theirs[valid], rtol=0, atol=1e-11)


def _double(family: str) -> BertCat:
    from tiny_models import tiny_config
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    return BertCat(AutoModelForSequenceClassification.from_config(tiny_config(family)).double()).eval()


MODELS = {family: _double(family) for family in FAMILIES}


def test_layers_that_do_not_exist(tiny: Make) -> None:
    with pytest.raises(UserError, match=r"layer 4 of this model cannot be read: it showed 4 attention layers"):
        BertCat(tiny()).forward_internals(BATCHES["full"], (4,), ())


def test_captures_do_not_mix(tiny: Make) -> None:
    cat = BertCat(tiny())
    with internals.capture_scores((0,)) as outer:
        with internals.capture_scores((1,)) as inner:
            cat.model(BATCHES["full"].input_ids)
        cat.model(BATCHES["full"].input_ids)
    assert ([*outer.scores], [*inner.scores]) == ([0], [1])
    with internals.capture_scores((0,)) as capture:
        thread = threading.Thread(target=lambda: copy.deepcopy(cat).logits(BATCHES["full"]))
        thread.start()
        thread.join()
    assert not capture.scores
    cat.logits(BATCHES["full"])
    assert not capture.scores

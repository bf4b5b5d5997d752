"""The last layer for the first token alone gives the scores, gradients and vectors of whole layers."""

import copy
from collections.abc import Callable

import pytest
import torch
from tiny_models import FAMILIES, tiny_batch, tiny_config
from torch import Tensor
from transformers import PreTrainedModel

from distilkit.models.attention import first_token_alone, whole_layers
from distilkit.models.batch import SideBatch
from distilkit.models.cat import BertCat
from distilkit.models.dot import BertDot, DotOptions
from distilkit.models.encoder import encoder_of, first_states, last_states
from distilkit.models.layers import FAMILIES as LAYERS
from distilkit.models.layers import encoder_layers
from distilkit.models.prettr import PreTtr, PreTtrOptions

Make = Callable[..., PreTrainedModel]
BATCH = tiny_batch([9, 4, 7], padded=12)
ABLE = [family for family in FAMILIES if family != "albert"]


def logits_and_gradients(cat: BertCat) -> tuple[Tensor, dict[str, Tensor]]:
    cat.zero_grad()
    logits = cat.logits(BATCH)
    logits.square().sum().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in cat.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_and_gradients_are_those_of_whole_layers(tiny: Make, family: str) -> None:
    cat = BertCat(tiny(family).double())
    found = logits_and_gradients(cat)
    with whole_layers():
        expected = logits_and_gradients(cat)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("family", ABLE)
def test_the_last_layer_computes_one_token(tiny: Make, family: str) -> None:
    cat = BertCat(tiny(family))
    with first_token_alone():
        assert last_states(cat.encoder, BATCH).shape == (3, 1, 16)
    with whole_layers(), first_token_alone():
        assert last_states(cat.encoder, BATCH).shape == (3, 12, 16)
    assert last_states(cat.encoder, BATCH).shape == (3, 12, 16)


def test_what_reads_states_or_attention_gets_all_tokens(tiny: Make) -> None:
    cat = BertCat(tiny())
    assert cat.forward_internals(BATCH, (), (4,)).states[0].shape == (3, 12, 16)
    assert cat.forward_internals(BATCH, (3,), ()).attentions[0].shape == (3, 2, 12, 12)


def test_a_copy_runs_on_its_own_weights(tiny: Make) -> None:
    cat = BertCat(tiny())
    other, before = copy.deepcopy(cat), cat.logits(BATCH)
    with torch.no_grad():
        other.encoder.encoder.layer[-1].output.dense.weight.mul_(2.0)
    assert not torch.allclose(other.logits(BATCH), before)
    assert torch.equal(cat.logits(BATCH), before)


@pytest.mark.parametrize("family", ABLE)
def test_vectors_are_those_of_whole_layers(family: str) -> None:
    torch.manual_seed(0)
    dot = BertDot(encoder_of(tiny_config(family)).double().eval(), DotOptions())
    found = dot.encode_query(BATCH).states
    torch.testing.assert_close(found, last_states(dot.encoder, BATCH)[:, 0], rtol=1e-10, atol=1e-12)
    assert torch.equal(found, first_states(dot.encoder, BATCH))


@pytest.mark.parametrize("join", [0, 1, 3])
@pytest.mark.parametrize("family", ABLE)
def test_a_split_encoder_joins_for_the_first_token(family: str, join: int) -> None:
    torch.manual_seed(0)
    encoder = encoder_of(tiny_config(family)).double().eval()
    ranker = PreTtr(encoder, PreTtrOptions(join_layer=join, document_offset=10)).double()
    pairs = SideBatch(tiny_batch([4, 6, 3], seed=3), tiny_batch([7, 4, 9], seed=4))
    widths: list[int] = []
    net = LAYERS[encoder.config.model_type].net(encoder_layers(encoder)[-1])
    assert isinstance(net.activation, torch.nn.Module)
    net.activation.register_forward_hook(lambda module, given, output: widths.append(output.shape[1]))
    found = ranker.score(pairs)
    with whole_layers():
        expected = ranker.score(pairs)
    assert widths == [1, 15]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    gradients = [torch.autograd.grad(one.square().sum(), [*encoder.parameters()], allow_unused=True)
                 for one in (found, expected)]  # fmt: skip
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_dropout_stays_on_in_training(tiny: Make) -> None:
    cat = BertCat(tiny(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)).train()
    torch.manual_seed(1)
    one, other = cat.logits(BATCH), cat.logits(BATCH)
    assert not torch.equal(one, other)

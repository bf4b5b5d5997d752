"""Cross-encoders on tokens without padding against the same on padded batches: outputs, losses and gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, ElectraConfig

from distilkit.losses import attention_mse, count_pairs, hidden_mse
from distilkit.models.attention import whole_layers
from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat
from distilkit.models.layers import FAMILIES, encoder_layers
from distilkit.packed.batch import Packed, pack
from distilkit.packed.encoder import can_pack, packed_internals, packed_scores
from distilkit.packed.transfer import QueryKey, packed_attention_mse

BATCHES = [[9, 4, 12, 1], [5], [7, 7]]
MODELS = ["bert", "distilbert"]


def tiny(family: str, size: int = 16, layers: int = 3, seed: int = 0, dropout: float = 0.0) -> BertCat:
    """Return a tiny cross-encoder with weights so large that a wrong mask or place shows."""
    torch.manual_seed(seed)
    both = {"vocab_size": 40, "max_position_embeddings": 16, "num_labels": 1, "initializer_range": 0.2}
    if family == "distilbert":
        config = DistilBertConfig(
            **both, dim=size, n_layers=layers, n_heads=2, hidden_dim=32, dropout=0, attention_dropout=dropout
        )
        config.seq_classif_dropout = 0
    else:
        kind = {"bert": BertConfig, "electra": ElectraConfig}[family]
        config = kind(
            **both, hidden_size=size, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=32,
            hidden_dropout_prob=0, attention_probs_dropout_prob=dropout
        )  # fmt: skip
    return BertCat(AutoModelForSequenceClassification.from_config(config)).eval()


def batch_of(lengths: list[int], extra: int = 2) -> TokenBatch:
    generator = torch.Generator().manual_seed(1)
    shape = len(lengths), max(lengths) + extra
    mask = (torch.arange(shape[1]) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, 40, shape, generator=generator) * mask
    return TokenBatch(ids, mask, torch.randint(0, 2, shape, generator=generator) * mask)


def scores_of(layer: QueryKey, packed: Packed, sequence: int) -> Tensor:
    rows = slice(*packed.offsets[sequence : sequence + 2].tolist())
    return torch.einsum("mhd,nhd->hmn", layer.query[rows], layer.key[rows]) * layer.scale


@pytest.mark.parametrize("lengths", BATCHES)
@pytest.mark.parametrize("family", MODELS)
def test_equals_the_padded_model(family: str, lengths: list[int]) -> None:
    cat, batch = tiny(family), batch_of(lengths)
    packed, before = Packed.of(batch), cat.logits(batch)
    found = packed_internals(cat, packed, (2, 0), (3, 0))
    expected = cat.forward_internals(batch, (2, 0), (3, 0))
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
    for state, other in zip(found.states, expected.states, strict=True):
        torch.testing.assert_close(state[0], pack(other, batch.attention_mask), rtol=0, atol=1e-5)
    for layer, maps in zip(found.attentions, expected.attentions, strict=True):
        for sequence, length in enumerate(lengths):
            scores = scores_of(layer, packed, sequence)
            torch.testing.assert_close(scores, maps[sequence, :, :length, :length], rtol=1e-5, atol=1e-5)
    # The padded path is as it was.
    torch.testing.assert_close(cat.logits(batch), before, rtol=0, atol=0)


@pytest.mark.parametrize("lengths", BATCHES)
@pytest.mark.parametrize("family", MODELS)
def test_where_logits_are_all_the_last_layer_computes_first_tokens(family: str, lengths: list[int]) -> None:
    cat, batch = tiny(family).double(), batch_of(lengths)
    widths = []
    last = encoder_layers(cat.encoder)[-1]
    net = FAMILIES[family].net(last)
    net.activation.register_forward_hook(lambda *given: widths.append(len(given[2])))
    found = packed_internals(cat, Packed.of(batch))
    with whole_layers():
        whole = packed_internals(cat, Packed.of(batch))
    assert widths == [len(lengths), sum(lengths)]
    expected = cat.logits(batch)
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(whole.logits, expected, rtol=0, atol=1e-12)
    gradients = [torch.autograd.grad(one.square().sum(), [*last.parameters()]) for one in (found.logits, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("labels", [1, 2])
def test_scores_are_those_of_padded_batches(labels: int) -> None:
    cat, batch = tiny("bert"), batch_of(BATCHES[0])
    cat.model.classifier = torch.nn.Linear(16, labels)
    cat.config.num_labels = labels
    torch.testing.assert_close(packed_scores(cat, Packed.of(batch)), cat.score(batch), rtol=0, atol=1e-5)


def test_the_heads_are_those_of_the_padded_model() -> None:
    cat, batch = tiny("bert"), batch_of(BATCHES[0])
    plain, relu = (packed_internals(cat, Packed.of(batch), head=head).logits for head in ("plain", "relu"))
    torch.testing.assert_close(relu, cat.logits(batch, head="relu"), rtol=0, atol=1e-5)
    assert not torch.allclose(plain, relu)


def test_padding_may_lie_anywhere() -> None:
    """A token keeps the position that it has in the padded row."""
    cat, batch = tiny("bert"), batch_of([6, 3])
    mask = batch.attention_mask.clone()
    mask[0, 2] = 0
    holed = TokenBatch(batch.input_ids, mask, batch.token_type_ids)
    torch.testing.assert_close(packed_internals(cat, Packed.of(holed)).logits, cat.logits(holed), rtol=0, atol=1e-5)


def test_which_models_can_be_packed() -> None:
    assert [can_pack(tiny(family)) for family in (*MODELS, "electra")] == [True, True, False]
    assert not can_pack(torch.nn.Linear(2, 2))


def test_a_pass_that_fails_leaves_the_model_as_it_was() -> None:
    cat, batch = tiny("bert"), batch_of([5])
    packed = Packed.of(batch)
    before = cat.logits(batch)
    with pytest.raises(IndexError):
        packed_internals(cat, Packed(packed.input_ids + 99, packed.positions, None, packed.offsets, 5))
    torch.testing.assert_close(cat.logits(batch), before, rtol=0, atol=0)


def test_attention_dropout_is_that_of_the_model() -> None:
    cat, packed = tiny("bert", dropout=0.5), Packed.of(batch_of([9, 4]))
    torch.manual_seed(0)
    still = [packed_internals(cat, packed).logits for _ in range(2)]
    drawn = [packed_internals(cat.train(), packed).logits for _ in range(2)]
    torch.testing.assert_close(*still, rtol=0, atol=0)
    assert not torch.allclose(*drawn)


def losses(student: Any, teacher: Any, mask: Tensor, attention: Tensor) -> Tensor:
    states = hidden_mse(student.states, teacher.states, mask)
    return attention + 0.5 * states + (student.logits - teacher.logits).square().mean()


@pytest.mark.parametrize("lengths", BATCHES)
@pytest.mark.parametrize(("family", "taught"), [("bert", "bert"), ("distilbert", "bert")])
def test_distillation_has_one_loss_and_gradient(family: str, taught: str, lengths: list[int]) -> None:
    student, teacher, batch = tiny(family, layers=2), tiny(taught, layers=4, seed=1), batch_of(lengths)
    mask, packed = batch.attention_mask, Packed.of(batch)
    pairs = count_pairs(mask).item()
    with torch.no_grad():
        target = teacher.forward_internals(batch, (1, 3), (0, 2, 4))
        packed_target = packed_internals(teacher, packed, (1, 3), (0, 2, 4))
    own = student.forward_internals(batch, (0, 1), (0, 1, 2))
    expected = losses(own, target, mask, attention_mse(own.attentions, target.attentions, mask))
    gradients = torch.autograd.grad(expected, [*student.parameters()])
    own = packed_internals(student, packed, (0, 1), (0, 1, 2))
    attention = packed_attention_mse(own.attentions, packed_target.attentions, packed.offsets, packed.longest, pairs)
    found = losses(own, packed_target, packed.attention_mask, attention)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    for gradient, other in zip(torch.autograd.grad(found, [*student.parameters()]), gradients, strict=True):
        gap = (gradient - other).norm() / max(other.norm().item(), 1e-3)
        assert gap < 1e-5

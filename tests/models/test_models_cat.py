"""BertCat: scores, class logits, sizes, and the names of the rankers."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import FAMILIES, tiny_batch, tiny_config
from torch.nn import functional as F
from transformers import AutoModel, AutoModelForSequenceClassification, BertConfig, PreTrainedModel

from distilkit.errors import UserError
from distilkit.models import STUDENTS
from distilkit.models.batch import TokenBatch, on_device
from distilkit.models.cat import BertCat
from distilkit.models.shape import Shape, reshaped

Make = Callable[..., PreTrainedModel]
BATCH = tiny_batch([7, 4, 6])


def test_names_are_known_without_torch() -> None:
    code = "import sys, distilkit.models as m; print(*m.STUDENTS, *({'torch', 'transformers'} & {*sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["bert_cat", "bert_dot", "colbert", "prettr", "tk", "yes_no"]
    assert STUDENTS["cross_encoder"].ranker() is BertCat
    assert STUDENTS.resolve("cross_encoder") == "bert_cat"


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_raw_logits(tiny: Make, family: str) -> None:
    one, two = BertCat(tiny(family)), BertCat(tiny(family, num_labels=2))
    logits = one.logits(BATCH)
    assert logits.shape == (3, 1)
    torch.testing.assert_close(one.score(BATCH), logits[:, 0])
    classes = one.class_logits(logits)
    torch.testing.assert_close(classes.softmax(-1)[:, 1], logits[:, 0].sigmoid())
    logits = two.logits(BATCH)
    torch.testing.assert_close(two.score(BATCH), logits[:, 1] - logits[:, 0])
    assert two.class_logits(logits) is logits


def test_one_pair_keeps_its_batch_dimension(tiny: Make) -> None:
    assert BertCat(tiny()).score(tiny_batch([5])).shape == (1,)


@settings(deadline=None, max_examples=5)
@given(more=st.integers(0, 20), token=st.integers(0, 39))
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_never_changes_a_score(family: str, more: int, token: int) -> None:
    torch.manual_seed(0)
    cat = BertCat(AutoModelForSequenceClassification.from_config(tiny_config(family))).eval()
    short = TokenBatch(BATCH.input_ids, BATCH.attention_mask, BATCH.token_type_ids)
    ids = F.pad(short.input_ids.masked_fill(short.attention_mask == 0, token), (0, more), value=token)
    long = TokenBatch(ids, F.pad(short.attention_mask, (0, more)), F.pad(BATCH.token_type_ids, (0, more)))  # type: ignore[arg-type]
    expected = cat.score(short)
    torch.testing.assert_close(cat.score(long), expected, rtol=1e-5, atol=1e-5)
    for row, length in enumerate((7, 4, 6)):
        alone = TokenBatch(*(column[row : row + 1, :length] for column in (ids, long.attention_mask)))
        alone = replace(alone, token_type_ids=BATCH.token_type_ids[row : row + 1, :length])  # type: ignore[index]
        torch.testing.assert_close(cat.score(alone), expected[row : row + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes(tiny: Make, family: str) -> None:
    cat = BertCat(tiny(family))
    assert (cat.num_layers, cat.num_heads, cat.hidden_size, cat.num_labels) == (4, 2, 16, 1)
    assert cat.parameter_count == cat.model.num_parameters()


def test_albert_counts_the_layers_inside_a_group(tiny: Make) -> None:
    cat = BertCat(tiny("albert", num_hidden_layers=2, inner_group_num=2))
    assert cat.num_layers == 4
    assert len(cat.forward_internals(BATCH, range(4), range(5)).attentions) == 4


@pytest.mark.parametrize(
    ("shape", "parameters"), [("L12_H768", 109_482_240), ("L6_H768", 66_955_008), ("L3_H384", 17_389_824)]
)
def test_parameters_of_the_papers_shapes(shape: str, parameters: int) -> None:
    with torch.device("meta"):
        encoder = AutoModel.from_config(reshaped(BertConfig(), Shape.parse(shape)))
    assert encoder.num_parameters() == parameters


def test_the_relu_head(tiny: Make) -> None:
    cat = BertCat(tiny(num_labels=2)).eval()
    pooled = cat.encoder(BATCH.input_ids, BATCH.attention_mask, BATCH.token_type_ids).pooler_output
    expected = cat.model.classifier(pooled.clamp(min=0))
    torch.testing.assert_close(cat.logits(BATCH, head="relu"), expected)
    torch.testing.assert_close(cat.forward_internals(BATCH, (1,), (0,), head="relu").logits, expected)
    # It is the head of training alone.
    torch.testing.assert_close(cat.score(BATCH), cat.model.classifier(pooled).diff()[:, 0])
    for family in ("distilbert", "electra", "roberta"):
        with pytest.raises(UserError, match="for BERT models"):
            BertCat(tiny(family)).logits(BATCH, head="relu")


def test_the_relu_head_has_no_dropout(tiny: Make) -> None:
    cat = BertCat(tiny(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.9)).train()
    torch.testing.assert_close(cat.logits(BATCH, head="relu"), cat.logits(BATCH, head="relu"))
    assert not torch.equal(cat.logits(BATCH), cat.logits(BATCH))


def test_heads_with_other_numbers_of_labels(tiny: Make) -> None:
    with pytest.raises(UserError, match="1 or 2 labels, not 3"):
        BertCat(tiny(num_labels=3))


def test_a_batch_moves_as_one() -> None:
    moved = on_device(BATCH, "meta")
    assert len(moved) == 3
    assert moved.token_type_ids is not None
    assert {moved.input_ids.device.type, moved.attention_mask.device.type, moved.token_type_ids.device.type} == {"meta"}
    assert on_device(TokenBatch(BATCH.input_ids, BATCH.attention_mask), "cpu").token_type_ids is None

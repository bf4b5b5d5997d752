"""The formulas of multiply-accumulates hold what a forward pass does."""

from typing import Any

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    RobertaConfig,
)

from distilkit.evaluation.macs_check import check_macs, counted_macs
from distilkit.models import STUDENTS, student_options
from distilkit.models.cat import BertCat
from distilkit.models.encoder import encoder_of
from distilkit.models.tk import Tk

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "num_labels": 1}
BERT = {**SIZES, "intermediate_size": 24, "max_position_embeddings": 40}
CONFIGS = {
    "bert": BertConfig(**BERT),
    "electra": ElectraConfig(**BERT, embedding_size=8),
    "roberta": RobertaConfig(**BERT, pad_token_id=0),
    "albert": AlbertConfig(**BERT, embedding_size=8, inner_group_num=2),
    "distilbert": DistilBertConfig(vocab_size=40, dim=16, n_layers=4, n_heads=2, hidden_dim=24, num_labels=1),
}
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("bert_dot", {}),
    ("bert_dot", {"dim": 8}),
    ("colbert", {"form": "papers"}),
    ("colbert", {"form": "stanford", "dim": 8}),
    ("prettr", {"document_offset": 10}),
    ("prettr", {"document_offset": 10, "join_layer": 0}),
]


@pytest.mark.parametrize("family", CONFIGS)
def test_a_cross_encoder(family: str) -> None:
    check = check_macs(BertCat(AutoModelForSequenceClassification.from_config(CONFIGS[family])), 5, 9)
    assert check.counted > check.formula > 0  # the head
    assert check.agrees, check
    # A layer of 16 × 16 and one of 16 × 1; the embeddings' map is 8 × 16 for 14 tokens.
    maps = {"embedding map": 14 * 8 * 16} if family in ("electra", "albert") else {}
    assert check.outside_formula == {"head": 16 * 16 + 16, **maps}


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra", "roberta"])
@pytest.mark.parametrize(("architecture", "values"), KINDS)
def test_a_ranker_around_an_encoder(architecture: str, values: dict[str, Any], family: str) -> None:
    options = student_options(architecture, values)
    ranker: Any = STUDENTS[architecture].ranker()(encoder_of(CONFIGS[family]), options)  # type: ignore[arg-type]
    check = check_macs(ranker.eval(), 5, 9)
    assert check.agrees, check
    assert check.outside_formula.get("head", 0) == (16 if architecture == "prettr" else 0)
    assert check.no_product == ((values.get("dim") or 16) if architecture == "bert_dot" else 0)


@pytest.mark.parametrize("values", [{}, {"dim": 8, "heads": 2, "layers": 3}])
def test_tk(values: dict[str, Any]) -> None:
    options = student_options("tk", {"feed_forward": 20, **values})
    check = check_macs(Tk(torch.randn(40, 16), options).eval(), 5, 9)  # type: ignore[arg-type]
    assert check.agrees, check
    assert (check.outside_formula, check.no_product) == ({}, 11 * 5 * 9)


def test_a_wrong_formula_shows() -> None:
    ranker: Any = STUDENTS["bert_dot"].ranker()(encoder_of(CONFIGS["bert"]), student_options("bert_dot"))  # type: ignore[arg-type]
    ranker.encoder.encoder.layer = ranker.encoder.encoder.layer[:3]
    assert not check_macs(ranker.eval(), 5, 9).agrees


def test_counting_leaves_torch_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    assert counted_macs(lambda: torch.ones(2, 3) @ torch.ones(3, 5)) == 30
    assert torch.backends.mha.get_fastpath_enabled() == before

"""A model is tried when it is loaded: what is computed here against what transformers computes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from peers import SMALL, bytelevel, spread, write_bert

from distilkit.errors import UserError
from distilkit.models import agree
from distilkit.models.attention import attention
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.load import load_encoder


@pytest.fixture
def attend_otherwise(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that breaks our attention for texts of more than some tokens."""
    monkeypatch.setattr(agree, "_tried", set())

    def break_it(above: int) -> None:
        def wrong(module: Any, query: Any, *tensors: Any, **named: Any) -> Any:
            changed = {"scaling": 0.1} if query.size(2) > above else {}
            return attention(module, query, *tensors, **{**named, **changed})

        monkeypatch.setitem(transformers.AttentionInterface._global_mapping, "distilkit", wrong)

    return break_it


@pytest.mark.parametrize(("read", "expected"), [(load_cat, 0.069), (load_encoder, 1.1)])
def test_a_wrong_score_is_refused_with_family_and_difference(
    read: Callable[[Path], Any], expected: float, tmp_path: Path, attend_otherwise: Callable[[int], None]
) -> None:
    """Whatever of ours is wrong, loading finds it: here the scale of attention.

    Of a cross-encoder logits are compared, of an encoder states, which are larger: each has a difference of its own.
    """
    folder = write_bert(tmp_path / "model", head=True)
    attend_otherwise(0)
    with pytest.raises(UserError, match=r"is a bert, which cannot be made a ranker: .* differs by") as said:
        read(folder)
    (difference,) = re.findall(r"differs by (\d+\.\d+) from what it makes of each in transformers$", str(said.value))
    assert float(difference) == pytest.approx(expected, rel=0.05)


def test_a_large_model_reads_a_text_at_its_limit_in_its_first_layers(
    monkeypatch: pytest.MonkeyPatch, attend_otherwise: Callable[[int], None]
) -> None:
    config = transformers.Gemma2Config(
        vocab_size=len(bytelevel("decoder")),
        num_labels=1,
        pad_token_id=0,
        sliding_window=16,
        num_key_value_heads=1,
        head_dim=8,
        **{**SMALL, "num_hidden_layers": 12},
    )
    model = BertCat(spread(transformers.Gemma2ForSequenceClassification(config)).eval())
    # One of each kind of layer, of twelve: with all of them a text as dear as the short ones has 24 tokens.
    monkeypatch.setattr(agree, "MOST_MACS", 1)
    assert agree._limit(model.model) == (144, 2)
    own = model.model.forward

    def theirs(batch: Any) -> Any:
        return own(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits

    agree.require_alike(model.model, model.logits, theirs, "gemma")
    assert len(model.model.model.layers) == 12
    monkeypatch.setattr(agree, "_tried", set())
    attend_otherwise(100)
    with pytest.raises(UserError, match=r"gemma is a gemma2, which cannot be made a ranker: .* differs by"):
        agree.require_alike(model.model, model.logits, theirs, "gemma")
    assert len(model.model.model.layers) == 12


def test_a_model_is_tried_again_where_its_configuration_computes_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agree, "_tried", set())
    path = write_bert(tmp_path / "model", head=True) / "config.json"
    config = json.loads(path.read_text())
    notes = {"hidden_dropout_prob": 0.3, "transformers_version": "5.0.0", "distilkit": {"architecture": "bert_cat"}}
    for changed, tried in (({}, 1), (notes, 1), ({"layer_norm_eps": 1e-3}, 2), ({"hidden_act": "relu"}, 3)):
        path.write_text(json.dumps({**config, **changed}))
        load_cat(path.parent)
        assert len(agree._tried) == tried, changed

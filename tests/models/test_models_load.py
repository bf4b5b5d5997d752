"""Loading cross-encoders: heads, dropout, number formats, silence, and folders that are not models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, tiny_batch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)
from transformers.utils import logging

from distilkit.errors import UserError
from distilkit.models.cat import load_cat
from distilkit.models.load import load_tokenizer, require_fit

Save = Callable[..., Path]
BATCH = tiny_batch([7, 4])


def edit(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_that_were_saved(saved: Save, family: str, labels: int) -> None:
    folder = saved(family=family, num_labels=labels)
    cat = load_cat(folder, require_head=True)
    assert not cat.training
    assert not cat.model.training
    plain = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager")
    inputs = {"input_ids": BATCH.input_ids, "attention_mask": BATCH.attention_mask}
    if family not in ("distilbert", "roberta"):
        inputs["token_type_ids"] = BATCH.token_type_ids
    torch.testing.assert_close(cat.logits(BATCH), plain(**inputs).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_gets_a_head_unless_it_must_have_one(tmp_path: Path, tiny: Any, family: str) -> None:
    tiny(family).base_model.save_pretrained(tmp_path)
    torch.manual_seed(3)
    first = load_cat(tmp_path)
    assert first.num_labels == 1
    torch.manual_seed(3)
    torch.testing.assert_close(load_cat(tmp_path).score(BATCH), first.score(BATCH))
    assert load_cat(tmp_path, num_labels=2).num_labels == 2
    with pytest.raises(UserError, match="is not a trained cross-encoder"):
        load_cat(tmp_path, require_head=True)


def test_a_head_of_another_size_is_drawn_anew(saved: Save) -> None:
    folder = saved(num_labels=3)
    assert load_cat(folder, num_labels=1).num_labels == 1
    with pytest.raises(UserError, match="model has a head of 3 labels: a ranker's has 1 or 2"):
        load_cat(folder)
    with pytest.raises(UserError, match="is not a trained cross-encoder"):
        load_cat(folder, num_labels=1, require_head=True)


def test_the_head_of_a_token_classifier_is_none(tmp_path: Path, tiny: Any) -> None:
    AutoModelForTokenClassification.from_config(tiny().config).save_pretrained(tmp_path)
    assert load_cat(tmp_path).num_labels == 1
    with pytest.raises(UserError, match="is not a trained cross-encoder"):
        load_cat(tmp_path, require_head=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout(saved: Save, family: str) -> None:
    def probabilities(model: PreTrainedModel) -> set[float]:
        return {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}

    folder = saved(family=family)
    assert probabilities(load_cat(folder, dropout=0.25).model) == {0.25}
    assert probabilities(load_cat(folder, dropout=0.0).model) == {0.0}
    assert probabilities(load_cat(folder).model) != {0.0}
    cat = load_cat(folder, dropout=0.0).train()
    torch.testing.assert_close(cat.score(BATCH), cat.score(BATCH), rtol=0, atol=0)


def test_dtype(saved: Save) -> None:
    folder = saved()
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        assert {parameter.dtype for parameter in load_cat(folder, dtype=dtype).parameters()} == {dtype}
    AutoModelForSequenceClassification.from_pretrained(folder).bfloat16().save_pretrained(folder)
    assert {parameter.dtype for parameter in load_cat(folder).parameters()} == {torch.float32}


def test_loading_is_silent(saved: Save, tmp_path: Path, tiny: Any, capfd: pytest.CaptureFixture[str]) -> None:
    folder = saved(num_labels=2)
    tiny().base_model.save_pretrained(tmp_path / "encoder")
    capfd.readouterr()
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_cat(folder, num_labels=1)
    load_cat(tmp_path / "encoder")
    load_tokenizer(folder)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (verbosity, bars)


def test_weights_that_the_configuration_does_not_describe(saved: Save) -> None:
    folder = saved()
    edit(folder, num_hidden_layers=5)
    with pytest.raises(UserError, match=r"that its config.json describes: bert.encoder.layer.4"):
        load_cat(folder)
    edit(folder, num_hidden_layers=4, intermediate_size=32)
    with pytest.raises(UserError, match="does not hold the weights"):
        load_cat(folder)
    edit(folder, num_hidden_layers=4, intermediate_size=64)
    weights = load_file(folder / "model.safetensors")
    save_file({name: weight for name, weight in weights.items() if "pooler" not in name}, folder / "model.safetensors")
    load_cat(folder)
    with pytest.raises(UserError, match="is not a trained cross-encoder"):
        load_cat(folder, require_head=True)


def test_folders_that_cannot_be_loaded(saved: Save, tmp_path: Path) -> None:
    folder = saved()
    edit(folder, model_type="no_such_model", auto_map={"AutoConfig": "evil.Config"})
    (folder / "evil.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match="cannot be loaded as a cross-encoder"):
        load_cat(folder)
    folder = saved("broken")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be loaded as a cross-encoder"):
        load_cat(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded as a cross-encoder"):
        load_cat(folder)
    folder = saved("only_others")
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    with pytest.raises(UserError, match="cannot be loaded as a cross-encoder"):
        load_cat(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no tokenizer"):
        load_tokenizer(tmp_path / "empty")


def test_the_tokenizer_is_the_one_saved(saved: Save) -> None:
    encoded = load_tokenizer(saved())("how many cats", "the cat sat")
    assert encoded["token_type_ids"] == [0] * 5 + [1] * 4


def test_tokenizers_that_do_not_fit(saved: Save, tokenizer: Any) -> None:
    folder = saved()
    require_fit(load_tokenizer(folder), load_cat(folder).config, folder)
    small = saved("small", vocab_size=len(tokenizer) - 1)
    with pytest.raises(UserError, match=r"small: its tokenizer and its model are of different vocabularies"):
        require_fit(load_tokenizer(small), load_cat(small).config, small)
    tokenizer.add_tokens(["zebra"])  # which no text may hold
    require_fit(tokenizer, load_cat(folder).config, folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    with pytest.raises(UserError, match="holds a tokenizer without a padding token"):
        load_tokenizer(folder)

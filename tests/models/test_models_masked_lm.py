"""The masked-LM head: equal to transformers' own, and tied to whatever embeddings it is given."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import tiny_batch, tiny_config
from transformers import AutoModel, AutoModelForMaskedLM

from distilkit.errors import UserError
from distilkit.models.masked_lm import LmHead, has_lm_head, load_lm_head, new_lm_head

BATCH = tiny_batch([7, 4])


def save(folder: Path, family: str, **changes: Any) -> Any:
    """Save a tiny masked language model none of whose biases and norms are at their start."""
    torch.manual_seed(1)
    model = AutoModelForMaskedLM.from_config(tiny_config(family, **changes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    return model


def rename(folder: Path, names: dict[str, str | None]) -> None:
    """Rename weights of a folder by the end of their name, or drop them."""
    file = folder / "model.safetensors"
    weights = load_file(file)
    for old, new in names.items():
        weight = weights.pop(old)
        if new is not None:
            weights[new] = weight
    save_file(weights, file, {"format": "pt"})


def assert_same_logits(model: Any, head: LmHead | None) -> None:
    assert head is not None
    inputs = {"input_ids": BATCH.input_ids, "attention_mask": BATCH.attention_mask}
    with torch.no_grad():
        states = model.base_model(**inputs).last_hidden_state
        ours = head(states.flatten(0, 1), model.get_input_embeddings().weight)
        theirs = model(**inputs).logits.flatten(0, 1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bert", {}),
        ("bert", {"hidden_act": "relu", "layer_norm_eps": 0.1}),
        ("distilbert", {}),
        ("distilbert", {"activation": "relu"}),
    ],
)
def test_logits_are_those_of_transformers(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    model = save(tmp_path, family, **changes)
    assert has_lm_head(tmp_path)
    assert_same_logits(model, load_lm_head(tmp_path))


def test_old_names_are_understood(tmp_path: Path) -> None:
    model = save(tmp_path, "bert")
    norm = "cls.predictions.transform.LayerNorm"
    rename(tmp_path, {f"{norm}.weight": f"{norm}.gamma", f"{norm}.bias": f"{norm}.beta"})
    rename(tmp_path, {"cls.predictions.bias": "cls.predictions.decoder.bias"})
    assert_same_logits(model, load_lm_head(tmp_path))


def test_a_half_precision_head_is_read_in_float32(tmp_path: Path) -> None:
    save(tmp_path, "bert")
    AutoModelForMaskedLM.from_pretrained(tmp_path, dtype=torch.bfloat16).save_pretrained(tmp_path)
    head = load_lm_head(tmp_path)
    assert head is not None
    assert {parameter.dtype for parameter in head.parameters()} == {torch.float32}


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_an_encoder_alone_has_no_head(tmp_path: Path, family: str) -> None:
    AutoModel.from_config(tiny_config(family)).save_pretrained(tmp_path)
    assert not has_lm_head(tmp_path)
    assert load_lm_head(tmp_path) is None


def test_heads_that_do_not_fit_are_told_in_a_sentence(tmp_path: Path) -> None:
    save(tmp_path, "bert")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "vocab_size": 41}))
    with pytest.raises(UserError, match="head that does not fit its config"):
        load_lm_head(tmp_path)
    rename(tmp_path, {"cls.predictions.transform.dense.bias": None})
    with pytest.raises(UserError, match=r"part of a masked-LM head: cls\.predictions\.transform\.dense\.bias is mis"):
        load_lm_head(tmp_path)
    save(tmp_path, "bert", tie_word_embeddings=False)
    with pytest.raises(UserError, match="a decoder of its own"):
        load_lm_head(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"model\.safetensors cannot be read"):
        has_lm_head(tmp_path)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_new_head_is_drawn_as_configured(family: str) -> None:
    torch.manual_seed(0)
    head = new_lm_head(tiny_config(family, hidden_size=64, initializer_range=0.5))
    assert head.dense.weight.shape == (64, 64)
    assert abs(head.dense.weight.std().item() - 0.5) < 0.05
    assert not head.dense.bias.any()
    assert not head.bias.any()
    assert head.bias.shape == (40,)


def test_gradients_reach_the_embeddings_of_the_caller() -> None:
    head, embeddings = new_lm_head(tiny_config("bert")), torch.randn(40, 16, requires_grad=True)
    head(torch.randn(3, 16), embeddings).logsumexp(-1).sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0
    assert sum(parameter.numel() for parameter in head.parameters()) == 16 * 16 + 3 * 16 + 40

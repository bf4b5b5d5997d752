"""Saved cross-encoders score alike here, in transformers and in sentence-transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder
from tiny_models import FAMILIES
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat, load_cat
from distilkit.models.load import load_tokenizer
from distilkit.models.save import save_ranker

LONG = "the cat sat on a mat and the dog ran off with my red ball "
PAIRS = [
    ("how many cats sit", "the cat sat on the mat"),
    ("where did it go", LONG * 3),
    (LONG * 2, "my dog"),
    (LONG, LONG),
    ("a", ""),
    ("unknown words zebra", "giraffe"),
    # Right at, below and above the limit of 24 tokens.
    *[("the cat sat", " ".join(["mat"] * count)) for count in (17, 18, 19)],
]
MAX_LENGTH = 24


def ours(model: BertCat, tokenizer: Any, max_length: int = MAX_LENGTH) -> torch.Tensor:
    queries, passages = zip(*PAIRS, strict=True)
    tokens = tokenizer(
        list(queries), list(passages), truncation=True, max_length=max_length, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        return model.score(TokenBatch(tokens["input_ids"], tokens["attention_mask"], tokens.get("token_type_ids")))


def theirs(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scores of transformers and of sentence-transformers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    queries, passages = zip(*PAIRS, strict=True)
    tokens = tokenizer(list(queries), list(passages), truncation=True, padding=True, return_tensors="pt")
    assert ("token_type_ids" in tokens) is (model.config.model_type not in ("distilbert", "roberta"))
    with torch.no_grad():
        plain = model(**tokens).logits
    encoder = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return plain.squeeze(1), encoder.predict(PAIRS, convert_to_tensor=True, batch_size=4, show_progress_bar=False)


@pytest.mark.parametrize("labels", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_equal_everywhere(tmp_path: Path, tiny: Any, tokenizer: Any, family: str, labels: int) -> None:
    if family in ("distilbert", "roberta"):
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    model = BertCat(tiny(family, num_labels=labels))
    expected = ours(model, tokenizer)
    save_ranker(model, tokenizer, tmp_path / "saved", max_length=MAX_LENGTH)
    again = load_cat(tmp_path / "saved", require_head=True)
    assert again.num_labels == 1
    torch.testing.assert_close(ours(again, load_tokenizer(tmp_path / "saved")), expected, rtol=0, atol=2e-6)
    for scores in theirs(tmp_path / "saved"):
        torch.testing.assert_close(scores, expected, rtol=0, atol=2e-6)
    assert model.num_labels == labels
    torch.testing.assert_close(ours(model, tokenizer), expected, rtol=0, atol=0)


def test_what_is_saved(tmp_path: Path, tiny: Any, tokenizer: Any) -> None:
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    before = tokenizer.model_max_length
    folder = tmp_path / "runs" / "my run"
    save_ranker(
        BertCat(tiny()),
        tokenizer,
        folder,
        max_length=MAX_LENGTH,
        base_model="owner/name",
        facts={"strategy": "simplified_tinybert", "nDCG@10": 0.5, "odd": "a|b\nc"},
    )
    assert tokenizer.model_max_length == before
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["sentence_transformers"] == {
        "activation_fn": "torch.nn.modules.linear.Identity",
        "version": "5.0.0",
    }
    assert config["dtype"] == "float32"
    assert "_name_or_path" not in config
    assert not [value for value in config.values() if isinstance(value, str) and value.startswith(("/", "distilkit"))]
    saved_tokenizer = json.loads((folder / "tokenizer.json").read_text())
    assert (saved_tokenizer["truncation"], saved_tokenizer["padding"]) == (None, None)
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == MAX_LENGTH
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["library_name"] == "sentence-transformers"
    assert matter["pipeline_tag"] == "text-ranking"
    assert matter["base_model"] == "owner/name"
    assert {"cross-encoder", "distillation"} <= set(matter["tags"])
    assert "# my run" in text
    assert "| strategy | simplified_tinybert |" in text
    assert "| odd | a\\|b c |" in text


def test_without_facts_or_base(tmp_path: Path, tiny: Any, tokenizer: Any) -> None:
    save_ranker(BertCat(tiny()), tokenizer, tmp_path / "m", max_length=8, name='a "name": with signs')
    _, front, text = (tmp_path / "m" / "README.md").read_text().split("---\n", 2)
    assert "base_model" not in yaml.safe_load(front)
    assert '# a "name": with signs' in text


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("labels", [1, 2])
def test_weights_are_saved_in_float32(
    tmp_path: Path, tiny: Any, tokenizer: Any, dtype: torch.dtype, labels: int
) -> None:
    model = BertCat(tiny(num_labels=labels).to(dtype))
    save_ranker(model, tokenizer, tmp_path / "saved", max_length=MAX_LENGTH)
    assert {weight.dtype for weight in load_file(tmp_path / "saved" / "model.safetensors").values()} == {torch.float32}
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["dtype"] == "float32"
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_a_save_replaces_the_last_one_and_leaves_no_trace_when_it_fails(
    tmp_path: Path, tiny: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_ranker(BertCat(tiny()), tokenizer, tmp_path / "m", max_length=8)
    (tmp_path / "m" / "stale").touch()
    save_ranker(BertCat(tiny(seed=1)), tokenizer, tmp_path / "m", max_length=8)
    assert not (tmp_path / "m" / "stale").exists()
    before = (tmp_path / "m" / "model.safetensors").read_bytes()
    monkeypatch.setattr(
        "distilkit.models.save.write_json", lambda *_: (_ for _ in ()).throw(OSError("no space left on device"))
    )
    with pytest.raises(OSError, match="no space"):
        save_ranker(BertCat(tiny(seed=2)), tokenizer, tmp_path / "m", max_length=8)
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_head_of_training_is_not_saved(tmp_path: Path, tiny: Any, tokenizer: Any) -> None:
    """As in the released code: a student that was trained with the relu head is scored with the plain one."""
    model = BertCat(tiny(num_labels=2))
    save_ranker(model, tokenizer, tmp_path / "saved", max_length=MAX_LENGTH)
    torch.testing.assert_close(theirs(tmp_path / "saved")[1], ours(model, tokenizer), rtol=0, atol=2e-6)


def test_a_loaded_model_saves_no_path(saved: Callable[..., Path], tmp_path: Path) -> None:
    folder = saved()
    save_ranker(load_cat(folder), load_tokenizer(folder), tmp_path / "again", max_length=8)
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json", "README.md"):
        assert str(tmp_path) not in (tmp_path / "again" / name).read_text()
    assert "local_files_only" not in (tmp_path / "again" / "tokenizer_config.json").read_text()

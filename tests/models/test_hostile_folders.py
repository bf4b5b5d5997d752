"""Model folders of strangers: no code of theirs is run, nothing is built that is not there; all ends in a sentence."""

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilkit.errors import UserError
from distilkit.models.load import architecture_of, load_encoder, load_ranker, load_tokenizer, saved_lengths
from distilkit.models.references import content_hash

ACTS: dict[str, Callable[[Path], object]] = {
    "architecture_of": architecture_of,
    "content_hash": lambda folder: content_hash(str(folder)),
    "load_encoder": load_encoder,
    "load_ranker": load_ranker,
    "load_tokenizer": load_tokenizer,
    "saved_lengths": saved_lengths,
}
SECONDS = 30.0
"""None may take longer, on a busy machine too; what is built out of all proportion takes hours, or all memory."""


@pytest.fixture
def folder(tmp_path: Path, tiny_checkpoint: Path) -> Path:
    """Return a copy of a good model folder, with a module that leaves a mark where it is run."""
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    (tmp_path / "model" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    return tmp_path / "model"


def change(file: Path, **keys: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **keys}))


def tried(folder: Path) -> dict[str, str]:
    """Return what each way of reading a folder says, "" where it is well; only UserErrors are allowed."""
    found = {}
    for name, act in ACTS.items():
        began = time.monotonic()
        try:
            act(folder)
            found[name] = ""
        except UserError as error:
            found[name] = str(error)
        assert time.monotonic() - began < SECONDS, name
    assert not (folder.parent / "ran").exists()
    return found


AUTO = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForSequenceClassification"), "evil.Model")


def test_a_good_folder_says_nothing(folder: Path) -> None:
    assert set(tried(folder).values()) == {""}


@pytest.mark.parametrize(
    "keys",
    [
        {"auto_map": AUTO},
        {"auto_map": AUTO, "model_type": "evil"},
        {"auto_map": {name: f"somebody/repository--{text}" for name, text in AUTO.items()}, "model_type": "evil"},
        {"auto_map": AUTO, "model_type": "evil", "architectures": ["evil.Model"]},
    ],
)
def test_code_of_a_folder_is_not_run(folder: Path, keys: dict[str, Any]) -> None:
    change(folder / "config.json", **keys)
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Fast", "evil.Fast"]})
    found = tried(folder)
    assert bool(found["load_ranker"]) == ("model_type" in keys)


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation", "_experts_implementation"])
def test_code_of_the_hub_is_not_fetched(folder: Path, key: str) -> None:
    change(folder / "config.json", **{key: "somebody/kernel"})
    assert f"{key} names" in tried(folder)["load_ranker"]
    assert "fetched and run" in tried(folder)["load_encoder"]
    change(folder / "config.json", **{key: "eager"})
    assert tried(folder)["load_ranker"] == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 10**9), ("hidden_size", 10**6), ("num_hidden_layers", 10**9), ("num_hidden_layers", 5000),
        ("vocab_size", 10**12), ("vocab_size", 10**7), ("intermediate_size", 10**8), ("num_labels", 10**9),
        ("max_position_embeddings", 10**12), ("hidden_size", -1), ("hidden_size", 0), ("num_attention_heads", 0),
        ("hidden_size", [1]), ("hidden_size", "x"), ("hidden_size", None), ("hidden_size", 1e308),
        ("model_type", ["x"]), ("model_type", {}), ("model_type", 7), ("hidden_act", "evil"), ("hidden_act", {}),
        ("layer_norm_eps", "x"), ("pad_token_id", 10**7), ("id2label", 7), ("dtype", 7), ("dtype", "evil"),
        ("quantization_config", {"quant_method": "gptq", "bits": 4}), ("distilkit", 7), ("distilkit", [1]),
        ("distilkit", {"architecture": ["x"]}), ("distilkit", {"architecture": "bert_cat", "options": 7}),
        ("distilkit", {"architecture": "bert_cat", "max_length": "x"}), ("bert_model", 7), ("bert_model", ["x"]),
        ("architectures", {"a": 1}), ("architectures", 7), ("architectures", [["x"]]),
    ],
)  # fmt: skip
def test_a_configuration_that_describes_what_is_not_there(folder: Path, key: str, value: Any) -> None:
    change(folder / "config.json", **{key: value})
    tried(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "modules.json"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "{}",
        "[" * 100_000,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"a": ' + "9" * 5000 + "}",
        "\0",
        '"\\ud800"',
    ],
    ids=["empty", "list", "number", "table", "deep", "deeper", "digits", "null", "surrogate"],
)
def test_files_that_hold_something_else(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    tried(folder)
    (folder / name).write_bytes(b"\xff\xfe\x00")
    tried(folder)


def header(tensors: object) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        b"", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 99_000_000) + b"{}",
        struct.pack("<Q", 20_000) + b'{"a":' + b"[" * 19_995,
        header({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}),
        header({"a": {"dtype": "F32", "shape": [0, 2**60], "data_offsets": [0, 0]}}),
        header({"a": {"dtype": "X", "shape": [0], "data_offsets": [5, 0]}}), header([1]),
    ],
)  # fmt: skip
def test_headers_of_weights(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    assert all(tried(folder)[name] for name in ("load_encoder", "load_ranker"))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_links_and_pipes(folder: Path, name: str) -> None:
    for make in (
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ):
        path = folder / name
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        found = tried(folder)
        assert name.startswith("tokenizer") or found["load_ranker"]

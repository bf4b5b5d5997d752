"""Weights of pytorch_model.bin: read as the same weights in safetensors are, and nothing but tensors."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from bin_files import FORMS, Payload, as_bin, save_bin, write_bin
from safetensors.torch import load_file, save_file
from settings_given import sets
from tiny_models import FAMILIES, tiny_batch, tiny_config
from transformers import AutoModelForMaskedLM, BertModel

from distilkit.errors import UserError
from distilkit.models.cat import load_cat
from distilkit.models.load import load_encoder, load_ranker
from distilkit.models.masked_lm import has_lm_head, load_lm_head
from distilkit.models.references import content_hash, local_folder
from distilkit.models.save import write_dense, write_modules
from distilkit.models.weights import bin_note, read_weights, weight_files, weight_shapes

Save = Callable[..., Path]
Cli = Callable[..., Any]
BATCH = tiny_batch([7, 4])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cross_encoder_is_that_of_its_safetensors(saved: Save, family: str, form: str) -> None:
    folder = saved(family=family, num_labels=2)
    expected, encoder = load_cat(folder, require_head=True), load_encoder(folder).state_dict()
    shapes = weight_shapes(folder)
    as_bin(folder, form)
    assert weight_shapes(folder) == shapes
    found = load_cat(folder, require_head=True)
    assert torch.equal(found.score(BATCH), expected.score(BATCH))
    torch.testing.assert_close(load_encoder(folder).state_dict(), encoder, rtol=0, atol=0)
    assert {one.dtype for one in load_cat(folder, dtype=torch.bfloat16).parameters()} == {torch.bfloat16}
    torch.testing.assert_close(load_cat(folder, num_labels=1).score(BATCH).shape, torch.Size([2]))


def test_tensors_of_one_file_share_no_memory(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    write_bin(tmp_path, {"a": whole, "b": whole, "part": whole[2:4], "half": whole.half()})
    found = read_weights(tmp_path / "pytorch_model.bin")
    found["a"].zero_()
    assert found["b"].tolist() == whole.tolist()
    assert found["part"].tolist() == [2, 3]
    assert found["half"].dtype == torch.float16
    assert read_weights(tmp_path / "pytorch_model.bin", {"a"})["a"].tolist() == whole.tolist()


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_a_masked_language_model(tmp_path: Path, family: str) -> None:
    model = AutoModelForMaskedLM.from_config(tiny_config(family))
    model.save_pretrained(tmp_path)
    expected = load_lm_head(tmp_path)
    assert expected is not None
    (tmp_path / "model.safetensors").unlink()
    # With the decoder, which safetensors leave out as it is the word embeddings.
    write_bin(tmp_path, model.state_dict(), "old")
    assert has_lm_head(tmp_path)
    found = load_lm_head(tmp_path)
    assert found is not None
    torch.testing.assert_close(found.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_a_dense_module_of_sentence_transformers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    BertModel(tiny_config("bert"), add_pooling_layer=False).save_pretrained(tmp_path)
    write_dense(torch.nn.Linear(16, 8), tmp_path / "1_Dense")
    write_modules(["Transformer", "Dense"], tmp_path, {"query_length": 32, "document_length": 32})
    expected = load_ranker(tmp_path, "bert_dot").state_dict()
    as_bin(tmp_path)
    as_bin(tmp_path / "1_Dense")
    torch.testing.assert_close(load_ranker(tmp_path, "bert_dot").state_dict(), expected, rtol=0, atol=0)
    before = content_hash(str(tmp_path))
    write_bin(tmp_path / "1_Dense", {"linear.weight": torch.ones(8, 16), "linear.bias": torch.ones(8)})
    assert content_hash(str(tmp_path)) != before


@pytest.mark.parametrize("form", ["zip", "old"])
def test_a_payload_is_not_run(saved: Save, tmp_path: Path, cli: Cli, tiny_beir: Path, form: str) -> None:
    folder, made = saved(), tmp_path / "made"
    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for table in ({**weights, "more": Payload(made)}, Payload(made), {Payload(made): 1}):
        save_bin(table, folder / "pytorch_model.bin", form)
        for read in (load_ranker, load_cat, load_encoder, load_lm_head, has_lm_head, weight_shapes):
            with pytest.raises(UserError, match=r"pytorch_model.bin holds more than tensors by name, .*mkdir$"):
                read(folder)
        done = cli("rerank", folder, "--data", tiny_beir, "--output", tmp_path / "run.trec")
        assert done.code == 2
        assert done.err.count("\n") == 1
        assert "nothing else is read: it calls " in done.err
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(made)))
    with pytest.raises(UserError, match="cannot be read as tensors"):
        load_ranker(folder, "bert_cat")
    assert not made.exists()
    pickle.loads(pickle.dumps(Payload(made)))  # noqa: S301
    assert made.is_dir()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.nn.Linear(2, 2), "nothing else is read: it calls torch.nn.modules.linear.Linear$"),
        ({"state_dict": {"a": torch.ones(1)}}, "'state_dict' is a dict$"),
        ({"a": torch.ones(1), "epoch": 3}, "'epoch' is a int$"),
        ({0: torch.ones(1)}, "0 is a Tensor$"),
        ([torch.ones(1)], "it holds a list$"),
    ],
)
def test_what_is_no_table_of_tensors(tmp_path: Path, table: Any, message: str) -> None:
    save_bin(table, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=f"pytorch_model.bin holds more than tensors by name, .*{message}"):
        weight_shapes(tmp_path)


@pytest.mark.parametrize("form", ["zip", "old"])
def test_damaged_files(tmp_path: Path, form: str) -> None:
    file = tmp_path / "pytorch_model.bin"
    save_bin({"a": torch.ones(100)}, file, form)
    whole = file.read_bytes()
    for content in (b"", b"no tensors", whole[: len(whole) // 2], whole[:-20]):
        file.write_bytes(content)
        with pytest.raises(UserError, match=r"pytorch_model.bin cannot be read as tensors: [^\n]+$"):
            weight_shapes(tmp_path)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "cannot be read: expected the table weight_map"),
        ("[]", "cannot be read: expected the table weight_map"),
        ('{"weight_map": {"a": ["b"]}}', "cannot be read: expected the table weight_map"),
        (
            '{"weight_map": {"a": "pytorch_model-00002-of-00002.bin"}}',
            "names 'pytorch_model-00002-of-00002.bin', which",
        ),
        ('{"weight_map": {"a": "../pytorch_model.bin"}}', "which is not a file of weights beside it"),
        ('{"weight_map": {"a": 3}}', "names 3, which is not a file"),
    ],
)
def test_an_index_of_other_files(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / "model").mkdir()
    write_bin(tmp_path, {"a": torch.ones(1)})
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "model/pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(UserError, match=message):
        local_folder(str(tmp_path / "model"))


@pytest.mark.parametrize("form", FORMS)
def test_content_is_the_files_that_are_read(saved: Save, form: str) -> None:
    folder = saved()
    weights = load_file(folder / "model.safetensors")
    as_bin(folder, form)
    assert local_folder(str(folder)) == folder
    before, files = content_hash(str(folder)), {file: file.read_bytes() for file in folder.glob("pytorch_model*")}
    save_bin({"no": "weights"}, folder / "training_args.bin")
    assert content_hash(str(folder)) == before
    changed = {**weights, "classifier.bias": weights["classifier.bias"] + 1}
    write_bin(folder, changed, form)
    assert content_hash(str(folder)) != before
    for file, content in files.items():
        file.write_bytes(content)
    assert content_hash(str(folder)) == before
    assert bin_note(folder) is not None
    # Where there are safetensors, no other file is read or counts.
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    alone = content_hash(str(folder))
    assert weight_files(folder) == [folder / "model.safetensors"]
    assert bin_note(folder) is None
    for file in folder.glob("pytorch_model*"):
        file.unlink()
    assert content_hash(str(folder)) == alone


def test_what_is_read_is_said(saved: Save, tmp_path: Path, cli: Cli, tiny_beir: Path) -> None:
    folder = as_bin(saved(max_position_embeddings=300, vocab_size=64), "shards")
    written = tmp_path / "run.trec"
    done = cli("rerank", folder, "--data", tiny_beir, "--output", written, "--max-length", 32)
    assert done.code == 0, done.err
    assert (
        f"{folder} has no safetensors: its weights are read from pytorch_model-00001-of-00002.bin and 1 more"
        in done.err
    )


def test_a_released_cross_encoder_teaches(tmp_path: Path, tokenizer: Any, cli: Cli, tiny_recipe: Path) -> None:
    from published_layouts import write_cat

    from distilkit.models.shape import encoder_size

    write_cat(tmp_path / "cat")
    assert encoder_size(tmp_path / "cat") == (4, 8, 16)
    as_bin(tmp_path / "cat")
    assert encoder_size(tmp_path / "cat") == (4, 8, 16)
    tokenizer.save_pretrained(tmp_path / "distilbert-tiny")
    options = [f"teacher.model={json.dumps(str(tmp_path / 'cat'))}", "teacher.fine_tune=none", "student.shape=L2_H8"]
    options += ["train.max_steps=2", "twin.budget=none"]
    words = sets(*options)
    done = cli("run", tiny_recipe, "--runs-dir", tmp_path / "runs", "--name", "one", *words)
    assert done.code == 0, done.err
    said = f"{tmp_path / 'cat'} has no safetensors: its weights are read from pytorch_model.bin, tensors alone"
    assert said in done.err
    assert said in (tmp_path / "runs/one/log.txt").read_text()

"""Blocks of an index that are damaged are named, set aside and encoded again."""

import random
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from damage import DAMAGES

from distilkit.errors import UserError
from distilkit.evaluation import index as module
from distilkit.evaluation.index import DocumentIndex
from distilkit.models.encoded import Encoded, load_encoded, save_encoded

MASK = torch.tensor([[True, True], [True, False], [True, True]])
ONE, MANY = Encoded(torch.arange(6.0).reshape(3, 2)), Encoded(torch.arange(12.0).reshape(3, 2, 2), MASK)


@pytest.mark.parametrize("harm", ["flipped", "cut", "emptied"])
@pytest.mark.parametrize("encoded", [ONE, MANY], ids=["one", "many"])
def test_damaged_vectors_are_never_read(tmp_path: Path, encoded: Encoded, harm: str) -> None:
    path, chance = tmp_path / "documents.safetensors", random.Random(harm)
    for _ in range(30):
        save_encoded(path, encoded, torch.float32)
        right = load_encoded(path)
        DAMAGES[harm](path, chance)
        with suppress(UserError):  # and where none is raised, a letter has changed that nobody reads
            assert torch.equal(load_encoded(path).states, right.states)


@pytest.mark.parametrize("harm", DAMAGES)
def test_a_damaged_block_is_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    ranker: Any = SimpleNamespace(storage_unit="|P|", vector_size=2, encode_document=None)
    side: Any = SimpleNamespace(longest=2)
    said: list[str] = []
    monkeypatch.setattr(module, "encode_rows", lambda *given, **named: ONE)
    place = torch.device("cpu")
    index = DocumentIndex(ranker, side, np.arange(3), 1, place, folder=tmp_path, say=said.append)
    list(index.blocks(range(1)))
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    DAMAGES[harm](path, random.Random(2))
    ((_, found),) = index.blocks(range(1))
    assert torch.equal(found.states, ONE.states)
    assert path.read_bytes() == whole
    if harm != "gone":
        assert f"{path}" in said[0]
        assert said[0].endswith(f"it is set aside as {path.name}.damaged, and its documents are encoded again")


def test_an_index_that_was_only_begun_is_begun_again(tmp_path: Path) -> None:
    ranker: Any = SimpleNamespace(storage_unit="|P|", vector_size=2)
    side: Any = SimpleNamespace(longest=2)
    index = DocumentIndex(ranker, side, np.arange(3), 1, torch.device("cpu"), folder=tmp_path)
    (tmp_path / ".manifest.json.ab3_x").write_text("{")
    index.claim({"weights": "0"})
    assert (tmp_path / "manifest.json").is_file()
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "mine.txt").write_text("of the user's")
    with pytest.raises(UserError, match="is not an index of documents"):
        index.claim({"weights": "0"})

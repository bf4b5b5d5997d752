"""Models that cannot be stored as whole numbers: one sentence, exit code 2, and nothing written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_rankers import save_tiny

from distilkit.models.batch import TokenBatch
from distilkit.models.cat import BertCat

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'distilkit[onnx]'")
quantization = pytest.importorskip("onnxruntime.quantization", reason="onnxruntime is not installed")


def without_product(self: Any, batch: TokenBatch) -> torch.Tensor:
    """Return a score of the words' vectors alone, which no matrix is multiplied with."""
    vectors: torch.Tensor = self.encoder.get_input_embeddings()(batch.input_ids)
    return (vectors * batch.attention_mask[..., None]).sum((1, 2))


def refuses(*given: Any, **named: Any) -> None:
    raise RuntimeError("Failed to find proper ai.onnx domain\nand more")


@pytest.mark.parametrize(
    ("kind", "name", "replaced", "said"),
    [
        (BertCat, "graph", without_product, "cannot be quantised: it has no matrix product of weights"),
        (quantization, "quantize_dynamic", refuses, "cannot be quantised: Failed to find proper ai.onnx domain\n"),
    ],
)
def test_a_model_that_cannot_be_quantised_is_named(
    kind: Any,
    name: str,
    replaced: Callable[..., Any],
    said: str,
    cli: Callable[..., Any],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_tiny(tmp_path / "model", tiny_checkpoint, "bert_cat")
    monkeypatch.setattr(kind, name, replaced)
    arguments = ("export", tmp_path / "model", "--format", "onnx", "--quantize", "int8", "--output", tmp_path / "out")
    done = cli(*arguments)
    assert done.code == 2, done.err
    assert "--quantize int8: " in done.err
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()

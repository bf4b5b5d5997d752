"""Without the extra `onnx` a sentence names it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_rankers import save_tiny


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_the_extra_is_named(
    missing: str, tmp_path: Path, tiny_checkpoint: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny(tmp_path / "model", tiny_checkpoint, "bert_cat")
    for name in ("onnx", "onnxruntime"):
        if name == missing:
            monkeypatch.setitem(sys.modules, name, None)
        else:
            monkeypatch.setitem(sys.modules, name, sys)
    outcome = cli("export", tmp_path / "model", "--format", "onnx", "--output", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"needs {missing}, which is not installed: pip install 'distilkit[onnx]'" in outcome.err
    assert not (tmp_path / "out").exists()

"""`distilkit export` writes what loads elsewhere, and refuses what would not score there as here."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_rankers import OPTIONS, save_tiny

from distilkit.models.load import load_ranker

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    for architecture in OPTIONS:
        save_tiny(folder / architecture, tiny_checkpoint, architecture)
    save_tiny(folder / "bare", tiny_checkpoint, "bert_dot", {})
    stanford = {"form": "stanford", "dim": 8}
    save_tiny(folder / "stanford", with_markers(folder / "markers", tiny_checkpoint), "colbert", stanford)
    return folder


def with_markers(folder: Path, checkpoint: Path) -> Path:
    """Return a checkpoint whose vocabulary has ColBERT's markers in the place of two words."""
    import shutil

    shutil.copytree(checkpoint, folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    words = tokenizer["model"]["vocab"]
    for word, marker in (("sharp", "[unused0]"), ("round", "[unused1]")):
        words[marker] = words.pop(word)
    path.write_text(json.dumps(tokenizer))
    return folder


@pytest.mark.parametrize(
    ("model", "format_", "loads"),
    [
        ("bert_cat", "cross-encoder", "sentence_transformers.CrossEncoder("),
        ("bert_cat", "transformers", "transformers.AutoModelForSequenceClassification.from_pretrained("),
        ("bert_dot", "sentence-transformers", "sentence_transformers.SentenceTransformer("),
        ("bare", "transformers", "transformers.AutoModel.from_pretrained("),
        ("stanford", "pylate", "pylate.models.ColBERT("),
    ],
)
def test_formats(model: str, format_: str, loads: str, cli: Cli, models: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    outcome = cli("export", models / model, "--format", format_, "--output", output)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[1] == f"load it with {loads}{str(output)!r})"
    assert re.fullmatch(r"checked in [a-z-]+ [\d.]+: scores differ by \S+ at most", outcome.out.splitlines()[2])
    again, before = load_ranker(output), load_ranker(models / model)
    assert again.options == before.options
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    config = json.loads((output / "config.json").read_text())["distilkit"]
    assert config == json.loads((models / model / "config.json").read_text())["distilkit"]


@pytest.mark.parametrize(
    ("model", "format_", "message"),
    [
        ("bert_cat", "pylate", "is a bert_cat, and it takes cross-encoder, transformers"),
        ("bert_dot", "transformers", "is a bert_dot of its options, and it takes sentence-transformers"),
        ("colbert", "pylate", "is a colbert of its options, and it loads in distilkit alone"),
        ("prettr", "transformers", "is a prettr, and it loads in distilkit alone"),
        ("tk", "cross-encoder", "is a tk, and it loads in distilkit alone"),
        ("tk", "crossencoder", "there is no such format; did you mean 'cross-encoder'?"),
    ],
)
def test_refused(model: str, format_: str, message: str, cli: Cli, models: Path, tmp_path: Path) -> None:
    outcome = cli("export", models / model, "--format", format_, "--output", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_what_scores_otherwise_elsewhere_is_not_exported(
    cli: Cli, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.scoring import peers

    sigmoid = peers.cross_encoder

    def squashed(*given: Any) -> Any:
        return 1 / (1 + np.exp(-sigmoid(*given)))

    monkeypatch.setattr(peers, "cross_encoder", squashed)
    outcome = cli("export", models / "bert_cat", "--format", "cross-encoder", "--output", tmp_path / "out")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert "scores otherwise than distilkit" in outcome.err
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(cli: Cli, models: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    outcome = cli("export", models / "bert_cat", "--format", "cross-encoder", "--output", tmp_path)
    assert outcome.code == 2
    assert "exists already; choose a new folder" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_run_folder(cli: Cli, models: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    outcome = cli("export", run, "--format", "cross-encoder", "--output", tmp_path / "out")
    assert "is a run without a model yet" in outcome.err
    (run / "model").symlink_to(models / "bert_cat")
    outcome = cli("export", run, "--format", "cross-encoder", "--output", tmp_path / "out", "--json")
    assert json.loads(outcome.out)["architecture"] == "bert_cat", outcome.err
    assert "# mine" in (tmp_path / "out/README.md").read_text()

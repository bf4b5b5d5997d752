"""What ends a run is found before anything is trained, by `run` and `--dry-run`, in the first step of each stage."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peers import SMALL, bytelevel, sentencepiece, spread, wordpiece, write_bert

from distilkit.models.cat import BertCat
from distilkit.pipeline import first_steps

Cli = Callable[..., Any]


def write(folder: Path, kind: str) -> Path:
    """Write a tiny cross-encoder of another family than BERT, with a tokenizer of its kind."""
    sizes = {**SMALL, "max_position_embeddings": 66, "num_labels": 1}
    if kind == "DebertaV2":
        tokenizer = sentencepiece("deberta-v2")
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0}
    elif kind == "XLMRoberta":
        tokenizer = sentencepiece()
        sizes |= {"type_vocab_size": 1, "pad_token_id": tokenizer.pad_token_id}
    else:
        tokenizer = bytelevel("modernbert")
        sizes |= {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), **sizes)
    spread(getattr(transformers, f"{kind}ForSequenceClassification")(config)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def recipe_of(folder: Path, data: Path, teacher: Path, student: str, strategy: str, twin: str = "none") -> Path:
    path = folder / "recipe.toml"
    path.write_text(f"""\
name = "tried"
[data]
source = "beir"
path = "{data}"
max_length = 32
query_length = 12
document_length = 24
[teacher]
model = "{teacher}"
fine_tune = "fine_tune"
[teacher.train]
max_steps = 1
negatives = 2
bf16 = false
[student]
{student}
[strategy]
{strategy}
[train]
negatives = 2
max_steps = 1
bf16 = false
[twin]
budget = "{twin}"
[evaluate]
rerank_depth = 3
""")
    return path


@pytest.mark.parametrize(
    ("kind", "student", "strategy", "message"),
    [
        (
            "DebertaV2",
            'shape = "L1_H16"',
            'name = "simplified_tinybert"',
            "the attention scores of layer 0 of this model cannot be read",
        ),
        (
            "XLMRoberta",
            'architecture = "colbert"\nshape = "L2_H16"',
            'name = "margin_mse"',
            "markers: the tokenizer's vocabulary has no [unused0]",
        ),
        (
            "ModernBert",
            'shape = "L2_H16"',
            'name = "tinybert"\nvariant = "released_code"',
            "the head 'relu' is for BERT models, not for modernbert",
        ),
    ],
)
def test_what_ends_a_run_is_found_before_the_teacher_is_trained(
    tmp_path: Path, tiny_beir: Path, cli: Cli, kind: str, student: str, strategy: str, message: str
) -> None:
    recipe = recipe_of(tmp_path, tiny_beir, write(tmp_path / kind, kind), student, strategy)
    for more in (("--dry-run",), ()):
        done = cli("run", recipe, "--runs-dir", tmp_path / "runs", *more)
        assert done.code == 2, done.err
        assert message in done.err
        assert "fine_tune: " not in done.err
    assert not (tmp_path / "runs/tried").exists()
    assert not (tmp_path / "runs/.artifacts/teacher").exists()


def test_an_unsaveable_student_is_found(
    tmp_path: Path, tiny_beir: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = write_bert(tmp_path / "teacher", wordpiece(), head=True)
    recipe = recipe_of(tmp_path, tiny_beir, teacher, 'shape = "L1_H16"', 'name = "standard_kd"')
    write_well = BertCat.write

    def fails(self: Any, folder: Path, lengths: Any) -> None:
        raise AttributeError("no 'classifier'")

    def changes(self: Any, folder: Path, lengths: Any) -> None:
        with torch.no_grad():
            next(iter(self.model.classifier.parameters())).mul_(2)
        write_well(self, folder, lengths)
        with torch.no_grad():
            next(iter(self.model.classifier.parameters())).mul_(0.5)

    for broken, message in (
        (fails, "fails: AttributeError: no 'classifier'"),
        (changes, "scores differently after it was saved and loaded: the scores differ by"),
    ):
        monkeypatch.setattr(BertCat, "write", broken)
        done = cli("run", recipe, "--runs-dir", tmp_path / "runs", "--dry-run")
        assert (done.code, done.err.count("\n")) == (2, 1), done.err
        assert message in done.err
    monkeypatch.setattr(BertCat, "write", write_well)
    assert cli("run", recipe, "--runs-dir", tmp_path / "runs", "--dry-run").code == 0
    assert not list((tmp_path / "runs/.artifacts").glob(".tried.*"))


def test_a_trial_is_cheap_and_changes_nothing(
    tmp_path: Path, tiny_beir: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every stage is tried once, a grid's points of one kind together; the run is the same as without any trial."""
    teacher = write_bert(tmp_path / "teacher", wordpiece(), head=True)
    recipe = recipe_of(tmp_path, tiny_beir, teacher, 'shape = "L1_H16"', 'name = "standard_kd"', "steps")
    recipe.write_text(recipe.read_text() + '[grid]\n"train.learning_rate" = [1e-3, 1e-4]\n')
    tried, trial = [], first_steps._try

    def counted(node: Any, *more: Any) -> None:
        tried.append(f"{node.kind} {node.stage.name}")
        trial(node, *more)

    monkeypatch.setattr(first_steps, "_try", counted)
    start = time.process_time()  # the clock would say how busy the machine is
    assert cli("run", recipe, "--runs-dir", tmp_path / "a", "--dry-run").code == 0
    assert time.process_time() - start < 5
    assert sorted(tried) == ["stage fine_tune", "stage prediction", "teacher fine_tune"]
    assert cli("run", recipe, "--runs-dir", tmp_path / "a").code == 0
    before = len(tried)
    assert cli("run", recipe, "--runs-dir", tmp_path / "a", "--dry-run").code == 0
    assert len(tried) == before  # all is trained
    monkeypatch.setattr(first_steps, "_try", lambda *_: None)
    assert cli("run", recipe, "--runs-dir", tmp_path / "b").code == 0
    models = [(tmp_path / name / "tried/model/model.safetensors").read_bytes() for name in "ab"]
    assert models[0] == models[1]


def test_a_loss_that_is_not_finite_is_refused(
    tmp_path: Path, tiny_beir: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distilkit.training.objective import Objective

    teacher = write_bert(tmp_path / "teacher", wordpiece(), head=True)
    recipe = recipe_of(tmp_path, tiny_beir, teacher, 'shape = "L1_H16"', 'name = "standard_kd"')
    forward = Objective.forward
    monkeypatch.setattr(
        Objective, "forward", lambda *args: {**forward(*args), "loss": torch.tensor(torch.nan, requires_grad=True)}
    )
    done = cli("run", recipe, "--runs-dir", tmp_path / "runs", "--dry-run")
    assert done.code == 2
    assert "is not finite on the first batch" in done.err
